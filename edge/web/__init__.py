"""HTTP server of a page of this machine: port, access control, headers."""
