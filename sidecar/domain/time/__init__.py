"""Windows of time, also of a company whose time zone changes."""
