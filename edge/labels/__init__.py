"""Labels as people bring them: YOLO text files and COCO json, read by one set of rules."""
