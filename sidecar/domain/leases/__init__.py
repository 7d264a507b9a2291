"""Leases: how HARD limits hold over all sidecars."""
