"""From a camera and a handful of examples to a detector that runs on the device itself."""
