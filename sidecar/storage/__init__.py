"""The store: an ordered key-value engine, and what a sidecar keeps in it."""
