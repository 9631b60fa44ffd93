"""Detector in a process of its own, which is started again if it hangs or dies."""
