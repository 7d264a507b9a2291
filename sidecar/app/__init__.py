"""Wiring: the parts of the sidecar put together, started and stopped."""
