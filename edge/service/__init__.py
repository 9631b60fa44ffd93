"""The device by itself: supervised cameras and models, health, metrics, messages, preview and clips."""
