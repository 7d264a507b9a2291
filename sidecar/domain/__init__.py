"""The rules of metering, pure: no I/O, no clock, no transport, no storage."""
