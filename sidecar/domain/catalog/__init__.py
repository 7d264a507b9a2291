"""What is sold: features, limits, plans and add-ons, and what they must fulfil."""
