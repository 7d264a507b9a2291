"""Hostile peers and damaged disks, against real processes."""
