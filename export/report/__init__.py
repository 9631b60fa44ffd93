"""Reports of an export: model card, JSON, worst frames."""
