"""Models of a device: installed, current and previous, candidates in shadow, probation."""
