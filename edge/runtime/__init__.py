"""Inference: ONNX models on execution providers, images in, detections out."""
