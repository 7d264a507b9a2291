"""Balances of credits under every fault, on virtual time."""
