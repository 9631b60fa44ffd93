"""The metadata of an ONNX bundle: its document, golden sample and seal."""
