"""What is answered about seats, and what an answer shows of limits."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from sidecar.directory.resolved import ResolvedFeature
from sidecar.domain.catalog.model import Enforcement
from sidecar.domain.limits.decide import decide
from sidecar.domain.limits.decision import Decision
from sidecar.domain.limits.reasons import Basis, GrantMode, Reason
from sidecar.domain.limits.requests import NO_ATTRIBUTES
from sidecar.domain.limits.usage import QuotaUsage
from sidecar.domain.seats.model import SeatRequest
from sidecar.storage.transaction import Transaction


class SeatAsk(msgspec.Struct, frozen=True):
    """What the plane is to be asked, since it is not known here."""

    request: SeatRequest


class SeatAnswer(msgspec.Struct, frozen=True):
    """Whether a holder has a seat. `assigned`: by this call."""

    decision: Decision
    basis: Basis
    assigned: bool = False
    swaps_used_up: str = ""


class ReleaseAnswer(msgspec.Struct, frozen=True):
    """What became of a seat that was given back.

    `counts_until_us`: end of a window in which the holder counts all the same; `None` for none.
    """

    released: bool
    basis: Basis
    counts_until_us: int | None = None


def usages_of(step: Transaction, feature: ResolvedFeature, now_us: int) -> list[QuotaUsage]:
    """A feature's limits, and how many seats are held of each."""
    usages = []
    for meter in feature.meters:
        address = meter.address(NO_ATTRIBUTES, now_us)
        assert address is not None, "limits on seats are company-wide"
        counter = step.counter(address.key, ())
        used = 0 if counter is None else counter.used
        usages.append(QuotaUsage(meter.limit, address.ref.window, used))
    return usages


def binding_of(step: Transaction, feature: ResolvedFeature, now_us: int) -> QuotaUsage | None:
    """The limit that an answer names."""
    return tightest(usages_of(step, feature, now_us))


def answer_to_seat_question(usages: Sequence[QuotaUsage], now_us: int) -> Decision:
    """What somebody without a seat would be answered, as far as is known here."""
    plain = [replace(usage, lease=None) for usage in usages]
    decision = decide(1, GrantMode.ALL_OR_NOTHING, plain, now_us)
    if decision.reason is Reason.LIMIT_EXCEEDED:
        return replace(decision, reason=Reason.SEATS_EXHAUSTED)
    return decision


def tightest(usages: Sequence[QuotaUsage]) -> QuotaUsage | None:
    """The limit that an answer names: that with the least left, unlimited ones for want of it."""
    if len(usages) == 1:
        return usages[0]
    limited = [usage for usage in usages if usage.limit.amount is not None]
    if not limited:
        return usages[0] if usages else None
    return min(
        limited, key=lambda usage: (usage.limit.enforcement is Enforcement.SHADOW, usage.left)
    )
