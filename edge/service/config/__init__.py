"""Configuration file of the service: read, with the line of every fault."""
