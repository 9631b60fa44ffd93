"""Frame selection: sharp and different frames of a source."""
