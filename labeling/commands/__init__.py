"""Commands `edgeloop collect`, `suggest`, `label`, `stats` and `audit`."""
