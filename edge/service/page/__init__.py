"""Page of the service: health, metrics, preview, state."""
