"""The verbs of the runtime, one file each."""
