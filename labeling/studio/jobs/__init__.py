"""Jobs of the studio: label, train and export as child processes."""
