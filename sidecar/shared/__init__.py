"""What sidecar and control plane both stand on, beside the rules in `sidecar.domain`."""
