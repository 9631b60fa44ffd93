"""Preview of the exported bundle: on the project's frames, and on a clip or camera."""
