"""Seats: who may use a feature, by name, and how many at once."""
