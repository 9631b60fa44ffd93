"""Model inference: an ONNX file loaded on an execution provider, image in, detections out."""
