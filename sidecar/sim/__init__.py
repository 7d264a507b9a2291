"""Scenarios: a customer's life on virtual time, played by the real rules."""
