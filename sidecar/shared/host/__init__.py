"""Hosting: methods on a transport, and a daemon's life. Sidecar and control plane share it."""
