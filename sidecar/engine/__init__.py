"""The engine: what a sidecar answers by: decides, counts, asks. On the store, without transport."""
