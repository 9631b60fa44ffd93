"""Inference engines: a model file in, arrays in and out. onnxruntime is the default, others are optional."""
