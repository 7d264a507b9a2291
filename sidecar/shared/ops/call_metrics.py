"""Calls that have ended, by method and status, whatever carries them."""

from __future__ import annotations

from typing import Final

from google.rpc import code_pb2
from prometheus_client.core import CounterMetricFamily, Metric

_CODES: Final = tuple(code_pb2.Code.Name(number) for number in sorted(code_pb2.Code.values()))


class CallMetrics:
    """Counts of calls. A transport counts up itself, on the event loop: once as a call ends.

    Methods are those that are hosted. Calls that no method was to see are not among them.
    """

    def __init__(self) -> None:
        self._rows: dict[str, list[int]] = {}

    def row(self, method: str) -> list[int]:
        """The counts of a method ("package.Service/Method"), by number of the status."""
        return self._rows.setdefault(method, [0] * len(_CODES))

    def read(self) -> Metric:
        """Return the calls; of statuses that never occurred, OK alone."""
        family = CounterMetricFamily(
            "tallyd_grpc_calls",
            "gRPC calls that have ended, by method and status.",
            labels=("method", "code"),
        )
        for method, row in tuple(self._rows.items()):
            for number, count in enumerate(tuple(row)):
                if count or number == code_pb2.OK:
                    family.add_metric((method, _CODES[number]), count)
        return family
