"""What the control plane has heard of its sidecars, for the metrics. For the event loop alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, TypeAlias

from sidecar.control.services.earlier_sidecars import EarlierSidecars
from sidecar.domain.time.units import HOUR_US, SECOND_US
from sidecar.shared.ops.instruments import Instrument, LabelledReading, MetricReading

SIDECARS_SHOWN_MAX: Final = 500
"""Sidecars with metrics of their own: those heard first. Of the rest there is a number."""
SIDECARS_KNOWN_MAX: Final = 4_096
SILENT_US: Final = HOUR_US
"""A sidecar that was silent for so long is shown no more: most likely it is gone for good."""

_LABELS: Final = ("incarnation", "node")


class HeardSidecar:
    """One store of a sidecar, as far as this process has heard of it; times by the plane's clock.

    `push_lag_us`: of the last push that brought records: the age of the oldest as it was taken.
    `reads_changes`: whether it reads what catalogs may say, `knows_kinds`: whether it knows all
    kinds of features; unknown until it asks. `knows_leases`: whether it counts on exact limits by
    leases; unknown until it says who it is.
    """

    __slots__ = (
        "heard_us",
        "incarnation",
        "knows_kinds",
        "knows_leases",
        "node",
        "push_lag_us",
        "pushed_us",
        "reads_changes",
        "records",
        "version",
        "watches",
    )

    def __init__(self, incarnation: str, heard_us: int) -> None:
        self.incarnation = incarnation
        self.heard_us = heard_us
        self.node = ""
        self.version = ""
        self.pushed_us: int | None = None
        self.push_lag_us: int | None = None
        self.records = 0
        self.watches = 0
        self.reads_changes: bool | None = None
        self.knows_kinds: bool | None = None
        self.knows_leases: bool | None = None


_Value: TypeAlias = Callable[[HeardSidecar], float | None]


class HeardSidecars:
    """Metrics by sidecar. `clock` gives microseconds since the Unix epoch."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._heard: dict[str, HeardSidecar] = {}

    def greeted(self, incarnation: str, node: str, version: str, *, knows_leases: bool) -> None:
        """A sidecar said who it is, and what it knows."""
        sidecar = self._hear(incarnation)
        sidecar.node, sidecar.version, sidecar.knows_leases = node, version, knows_leases

    def heard(self, incarnation: str) -> None:
        """A sidecar asked for something."""
        self._hear(incarnation)

    def asked(self, incarnation: str, *, reads_changes: bool, knows_kinds: bool) -> None:
        """A sidecar asked for snapshots, and said what it reads of them."""
        sidecar = self._hear(incarnation)
        sidecar.reads_changes, sidecar.knows_kinds = reads_changes, knows_kinds

    def earlier(self) -> EarlierSidecars:
        """Nodes, as they say their names, of those of an earlier version."""
        present = self._present()
        return EarlierSidecars(
            read_less=[known.node for known in present if known.reads_changes is False],
            know_no_kinds=[known.node for known in present if known.knows_kinds is False],
            know_no_leases=[known.node for known in present if known.knows_leases is False],
        )

    def pushed(self, incarnation: str, records: int, oldest_accepted_us: int | None) -> None:
        """A push was taken. `records`: how many were new, of which the oldest was accepted then."""
        sidecar = self._hear(incarnation)
        sidecar.pushed_us = sidecar.heard_us
        sidecar.records += records
        if oldest_accepted_us is not None:
            sidecar.push_lag_us = max(0, sidecar.heard_us - oldest_accepted_us)

    @contextmanager
    def watching(self, incarnation: str) -> Iterator[None]:
        """A sidecar watches for changes; while it does, its connection is known to be alive."""
        sidecar = self._hear(incarnation)
        sidecar.watches += 1
        try:
            yield
        finally:
            sidecar.watches -= 1
            sidecar.heard_us = self._clock()

    def instruments(self) -> list[Instrument]:
        """What Prometheus reads, from the HTTP thread."""
        return [
            LabelledReading(
                "tallyd_sidecar_info",
                "Node and version of the sidecar, as it said at its last connect.",
                (*_LABELS, "version"),
                lambda: [
                    ((known.incarnation, known.node, known.version), 1) for known in self.shown()
                ],
            ),
            LabelledReading(
                "tallyd_sidecar_records",
                "Usage records of the sidecar taken.",
                _LABELS,
                lambda: self._values(lambda known: known.records),
                "counter",
            ),
            LabelledReading(
                "tallyd_sidecar_last_heard_timestamp_seconds",
                "When the sidecar was last heard; now, while it watches.",
                _LABELS,
                lambda: self._values(lambda known: _seconds(self._heard_us(known))),
            ),
            LabelledReading(
                "tallyd_sidecar_last_push_timestamp_seconds",
                "When usage of the sidecar was last taken.",
                _LABELS,
                lambda: self._values(lambda known: _seconds(known.pushed_us)),
            ),
            LabelledReading(
                "tallyd_sidecar_push_lag_seconds",
                "Age of the oldest record of the last push, as it was taken.",
                _LABELS,
                lambda: self._values(lambda known: _seconds(known.push_lag_us)),
            ),
            LabelledReading(
                "tallyd_sidecar_watches",
                "Watches that the sidecar has open: 1 while it is connected.",
                _LABELS,
                lambda: self._values(lambda known: known.watches),
            ),
            *self._counts(),
        ]

    def _counts(self) -> list[Instrument]:
        return [
            MetricReading(
                "tallyd_sidecars",
                "Sidecars that were heard within the last hour.",
                lambda: len(self._present()),
            ),
            MetricReading(
                "tallyd_sidecars_not_shown",
                "Of these, those beyond the bound on sidecars with metrics of their own.",
                lambda: max(0, len(self._present()) - SIDECARS_SHOWN_MAX),
            ),
        ]

    def shown(self) -> list[HeardSidecar]:
        """Those with metrics of their own."""
        return self._present()[:SIDECARS_SHOWN_MAX]

    def _values(self, value: _Value) -> Iterator[tuple[Sequence[str], float]]:
        """A value of each sidecar that is shown, if it has one."""
        for known in self.shown():
            found = value(known)
            if found is not None:
                yield (known.incarnation, known.node), found

    def _present(self) -> list[HeardSidecar]:
        """Those that are not silent for too long, in the order in which they were heard first."""
        since_us = self._clock() - SILENT_US
        return [known for known in tuple(self._heard.values()) if self._heard_us(known) > since_us]

    def _heard_us(self, sidecar: HeardSidecar) -> int:
        return self._clock() if sidecar.watches else sidecar.heard_us

    def _hear(self, incarnation: str) -> HeardSidecar:
        now_us = self._clock()
        sidecar = self._heard.get(incarnation)
        if sidecar is None:
            if len(self._heard) >= SIDECARS_KNOWN_MAX:
                self._forget_most_silent()
            sidecar = self._heard[incarnation] = HeardSidecar(incarnation, now_us)
        sidecar.heard_us = now_us
        return sidecar

    def _forget_most_silent(self) -> None:
        silent = min(self._heard.values(), key=lambda known: (known.watches, known.heard_us))
        del self._heard[silent.incarnation]


def _seconds(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / SECOND_US
