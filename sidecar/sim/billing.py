"""What would be billed: each billing period with what was held in it, and what was used.

tallyd knows no prices. It tells the stretches in which plan and add-ons were held, the units that
were used above SOFT limits, credits that were burned, and how much of a level was in use, as the
ledger has them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TypeAlias

import msgspec

from sidecar.control.storage.values import UsageSum
from sidecar.domain.company.model import SubscriptionStatus
from sidecar.domain.limits.usage import QuotaUsage, overage
from sidecar.sim.kind_world import NO_KINDS, KindSums
from sidecar.sim.present import Present
from sidecar.sim.told import status_text

ReadSums: TypeAlias = Callable[[int, int], list[UsageSum]]
ReadKinds: TypeAlias = Callable[[int, int], KindSums]

_BILLED = (SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE)


class HeldStretch(msgspec.Struct, frozen=True):
    """A plan or an add-on, held in [from_us, until_us), with the subscription's status then.

    `billable`: where the subscription was active, or late within its grace.
    """

    kind: str
    key: str
    quantity: int
    status: str
    billable: bool
    from_us: int
    until_us: int


class WindowSum(msgspec.Struct, frozen=True):
    """Windows of a limit that ended in a period; counters of dimensions counted each.

    `used_up`: how many had nothing left.
    """

    windows: int = 0
    used: int = 0
    most_used: int = 0
    overage: int = 0
    used_up: int = 0


class FeatureSum(msgspec.Struct, frozen=True):
    """What the ledger has of a feature, and how often it was denied."""

    records: int = 0
    quantity: int = 0
    overage: int = 0
    denied: int = 0


class BilledPeriod(msgspec.Struct, frozen=True):
    """A billing period [from_us, until_us), as far as it was played.

    `ends_us`: when it ends by the subscription; `None` for a time without one.
    """

    from_us: int
    until_us: int
    ends_us: int | None
    held: tuple[HeldStretch, ...]
    features: dict[str, FeatureSum]
    windows: dict[tuple[str, str], WindowSum]
    kinds: KindSums


class _Open(msgspec.Struct):
    """The period that is running."""

    from_us: int
    ends_us: int | None
    held: list[HeldStretch] = []
    windows: dict[tuple[str, str], WindowSum] = {}
    denied: Counter[str] = msgspec.field(default_factory=Counter)


class PeriodBook:
    """Keeps the periods.

    `read_sums`, `read_kinds`: what the ledger has of a stretch of time, by feature.
    """

    def __init__(self, first: Present, read_sums: ReadSums, read_kinds: ReadKinds) -> None:
        self.periods: list[BilledPeriod] = []
        self._read_sums = read_sums
        self._read_kinds = read_kinds
        self._present = first
        self._open = _opened(first)

    @property
    def number(self) -> int:
        """How many periods are over."""
        return len(self.periods)

    def note_window(self, feature: str, usage: QuotaUsage) -> None:
        """A window has ended."""
        key = (feature, usage.id)
        before = self._open.windows.get(key, WindowSum())
        full = usage.amount is not None and usage.used >= usage.amount + usage.carried
        self._open.windows[key] = WindowSum(
            before.windows + 1,
            before.used + usage.used,
            max(before.most_used, usage.used),
            before.overage + overage(usage),
            before.used_up + full,
        )

    def note_denied(self, feature: str) -> None:
        """A check was denied."""
        self._open.denied[feature] += 1

    def observe(self, present: Present) -> None:
        """Go on with what holds now."""
        before = self._present
        if _identity(before) != _identity(present):
            self.close(present.at_us)
            self._open = _opened(present)
        elif _held(before) != _held(present):
            self._take(present.at_us)
        else:
            return
        self._present = present

    def close(self, at_us: int) -> None:
        """End the period that is running."""
        self._take(at_us)
        opened = self._open
        features = {
            found.feature: FeatureSum(found.records, found.quantity, found.overage)
            for found in self._read_sums(opened.from_us, at_us)
        }
        for feature, denied in opened.denied.items():
            known = features.get(feature, FeatureSum())
            features[feature] = msgspec.structs.replace(known, denied=denied)
        kinds = NO_KINDS
        if at_us > opened.from_us:
            kinds = self._read_kinds(opened.from_us, at_us)
        features |= {key: FeatureSum() for key in kinds.levels if key not in features}
        if at_us > opened.from_us or features:
            self.periods.append(
                BilledPeriod(
                    opened.from_us,
                    at_us,
                    opened.ends_us,
                    tuple(opened.held),
                    dict(sorted(features.items())),
                    opened.windows,
                    kinds,
                )
            )

    def _take(self, until_us: int) -> None:
        """Note what was held since the last change; it goes on where the stretch before ended."""
        since_us = max(self._present.at_us, self._open.from_us)
        status, billable = _status(self._present)
        for kind, key, quantity in _held(self._present)[1:]:
            _extend(
                self._open.held,
                HeldStretch(kind, key, quantity, status, billable, since_us, until_us),
            )


def _extend(held: list[HeldStretch], more: HeldStretch) -> None:
    if more.from_us >= more.until_us:
        return
    for at, stretch in enumerate(held):
        joined = msgspec.structs.replace(stretch, until_us=more.until_us)
        if stretch.until_us == more.from_us and joined == msgspec.structs.replace(
            more, from_us=stretch.from_us
        ):
            held[at] = joined
            return
    held.append(more)


def _opened(present: Present) -> _Open:
    return _Open(present.at_us, None if present.period is None else present.period.end_us)


def _identity(present: Present) -> int | None:
    """What tells one billing period from another."""
    return None if present.period is None else present.period.start_us


def _status(present: Present) -> tuple[str, bool]:
    segment = present.segment
    return status_text(segment), segment.status in _BILLED and not segment.past_grace


def _held(present: Present) -> list[tuple[str, str, int]]:
    """The status, and what is held: the plan first."""
    segment = present.segment
    held = [("status", status_text(segment), 0)]
    if present.is_over:
        return held
    held.append(("plan", segment.plan, 1))
    return held + [("add-on", owned.add_on, owned.quantity) for owned in segment.add_ons]
