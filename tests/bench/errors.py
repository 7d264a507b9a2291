"""What ends a benchmark: something is broken. A missed target is a figure like any other."""

from __future__ import annotations


class BenchError(Exception):
    """There is no figure to report; the text is for people."""


class ProtocolError(Exception):
    """The peer broke HTTP/2, ended the connection, or does what the load driver cannot do."""
