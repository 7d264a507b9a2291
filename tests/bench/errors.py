"""What ends a benchmark: something is broken. A missed target is a figure like any other."""


class BenchError(Exception):
    """There is no figure to report; the text is for people."""
