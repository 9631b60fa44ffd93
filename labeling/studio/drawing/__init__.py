"""Drawing of exemplars: frames, boxes, masks."""
