"""What the control plane does: each a function of the store and of a request, without transport."""
