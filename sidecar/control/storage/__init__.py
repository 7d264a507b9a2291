"""Where the control plane keeps what it knows: a port, and a backend for each database."""
