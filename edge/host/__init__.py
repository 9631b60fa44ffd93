"""Host machine: cores, accelerators, memory, OpenCV."""
