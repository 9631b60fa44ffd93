"""Commands `edgeloop collect`, `label`, `stats` and `audit`."""
