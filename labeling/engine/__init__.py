"""Engine: detectors trained on the exemplar frames, their boxes fused and calibrated."""
