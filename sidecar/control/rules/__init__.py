"""What the plane decides about sidecars and their usage: pure, so that a simulator can run it."""
