"""What `tallyd demo` sells and sends. Data only."""
