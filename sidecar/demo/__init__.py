"""What `tallyd demo` runs, shows and compares."""
