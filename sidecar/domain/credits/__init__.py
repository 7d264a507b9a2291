"""Credits: grants, the order in which they burn down, and balances. In micro-credits."""
