"""All kinds of faults mixed, for minutes: run by `make soak MINUTES=10`."""
