"""ONNX graphs: export, rewriting, layout."""
