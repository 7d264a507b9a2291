"""Levels: what is in use now, up and down, and what of it is billed."""
