"""What Prometheus reads of seats at a sidecar."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sidecar.shared.ops.instruments import Instrument, MetricReading
from sidecar.sync.seating import Seating


def seat_instruments(seating: Callable[[], Seating | None]) -> Sequence[Instrument]:
    """The instruments; what they read are plain numbers."""

    def of(value: Callable[[Seating], int]) -> Callable[[], int]:
        def read() -> int:
            found = seating()
            return 0 if found is None else value(found)

        return read

    return [
        MetricReading(
            "tallyd_seats_asked",
            "Requests about seats that the control plane was asked.",
            of(lambda found: found.asked),
            kind="counter",
        ),
        MetricReading(
            "tallyd_seat_changes_heard",
            "Changes of seats that the control plane has told of.",
            of(lambda found: found.heard),
            kind="counter",
        ),
        MetricReading(
            "tallyd_seat_failures",
            "Exchanges about seats that failed.",
            of(lambda found: found.failures),
            kind="counter",
        ),
        MetricReading(
            "tallyd_seats_untold",
            "Seats given or taken back while the control plane was away, which it is to be told.",
            of(lambda found: found.untold),
        ),
    ]
