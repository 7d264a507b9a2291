"""Requests against limits and rates: the decision, and what it counts on."""
