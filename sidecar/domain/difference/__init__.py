"""What changed between two states of catalog and companies, in words for people."""
