"""The control plane over gRPC: messages in, messages out, and errors mapped in one place."""
