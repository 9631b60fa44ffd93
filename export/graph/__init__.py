"""ONNX graphs: export, editing, layout."""
