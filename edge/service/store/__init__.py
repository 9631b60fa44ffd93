"""Models of a device: installed, current and previous, candidates in shadow, probation."""

from edgeloop.edge.service.store.model_store import ModelStore, current_file

__all__ = ["ModelStore", "current_file"]
