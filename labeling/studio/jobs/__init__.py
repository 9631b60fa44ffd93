"""Jobs of the studio: label, train, export and teach as child processes."""
