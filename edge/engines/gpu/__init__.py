"""NVIDIA's GPUs: buffers on the device, CUDA graphs, and TensorRT's engines kept between runs."""
