"""Synchronisation with the control plane: usage up, snapshots and totals down."""
