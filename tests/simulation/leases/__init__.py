"""Leases under faults: sidecars and the plane on virtual time, and what must always hold."""
