"""From what a company has bought to what it may do."""
