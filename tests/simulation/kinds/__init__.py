"""Seats and levels under faults, on virtual time."""
