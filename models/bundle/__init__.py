"""Metadata of an ONNX bundle: document, golden sample, checksum and opset."""
