"""Labels linked over time: tracking, smoothing, persistence."""
