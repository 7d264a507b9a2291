"""The `tallyd` command, one file a subcommand. Nothing imports from here."""
