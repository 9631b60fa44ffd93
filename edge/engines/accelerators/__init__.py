"""Accelerators of onnxruntime that need more than a name: NVIDIA's GPUs, and Qualcomm's NPUs."""
