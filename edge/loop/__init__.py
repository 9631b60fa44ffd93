"""The detection loop: read, detect, track, act, for one or several sources."""
