"""The machine: cores, accelerators, memory, OpenCV."""
