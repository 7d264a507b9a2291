"""Use cases: what a sidecar does for its callers, on the store, without any transport."""
