"""The control plane: catalog, companies and the ledger, and what sidecars get of them."""
