"""Recorded traffic: files of several formats, read line by line into checks.

A format is a `LineParser`: a callable that turns one line into the checks that it stands for.
`Trace` does the rest for all of them: compression, line ends, bounds, and telling which lines
cannot be used. A trace is never held in memory; whoever needs two passes reads it twice.
"""

from sidecar.traces.formats import FORMATS
from sidecar.traces.model import LineError, SkippedLine, TraceCheck, TraceError, TraceRow
from sidecar.traces.trace import Trace, TraceScan

__all__ = [
    "FORMATS",
    "LineError",
    "SkippedLine",
    "Trace",
    "TraceCheck",
    "TraceError",
    "TraceRow",
    "TraceScan",
]
