"""Faults, each through the real workflow: `make test-faults` writes the docs' page."""
