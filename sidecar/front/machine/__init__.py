"""The state machine of a connection, without I/O: bytes and the time in, calls and bytes out."""
