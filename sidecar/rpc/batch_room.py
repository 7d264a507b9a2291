"""Whether the answers to many checks fit one message: known before any of them is counted.

What is counted and cannot be told is worse than what is refused. So the largest answer that each
check may get is reckoned from what limits its feature has: by the same catalog a batch that fitted
fits again, with its answers replayed. A stored answer may come from another catalog, and be larger;
where there is no room for it, it can be had alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.directory.resolved import ResolvedFeature
from sidecar.domain.bounds import (
    DIMENSION_KEY_BYTES_MAX,
    DIMENSIONS_MAX,
    IDENTIFIER_BYTES_MAX,
    LIMITS_MAX,
    LOW_BALANCES_MAX,
    WARNING_PERCENTS_MAX,
)
from sidecar.domain.catalog.kinds import COSTS_MAX
from sidecar.domain.errors import Exhausted, InvalidInput
from sidecar.domain.time.units import SECOND_US
from sidecar.engine.enforce import Enforcer, Outcome, Replay
from sidecar.rpc.response_messages import PARTS_TOLD_MAX

FIXED_BYTES: Final = 640
"""Most that an outcome has without names of limits and dimensions: an answer, or an error."""
_NAME_BYTES: Final = 8
"""Most that is beside a name where it stands: tags, lengths, a percentage."""
_REPLAY_BYTES: Final = 16
"""Most that is beside a stored answer where it is replayed."""
_AMOUNT_BYTES: Final = 11
"""Most that a number has, with its tag."""


def _burned_bytes(feature_bytes: int) -> int:
    """Most bytes of what was burned of a balance, whose key has so many."""
    part = IDENTIFIER_BYTES_MAX + _NAME_BYTES + _AMOUNT_BYTES
    amounts = (3 + LOW_BALANCES_MAX) * _AMOUNT_BYTES
    return feature_bytes + _NAME_BYTES + amounts + PARTS_TOLD_MAX * part


_LARGEST_BYTES: Final = (
    FIXED_BYTES
    + (IDENTIFIER_BYTES_MAX + _NAME_BYTES) * 2 * LIMITS_MAX * (2 + WARNING_PERCENTS_MAX)
    + (DIMENSION_KEY_BYTES_MAX + _NAME_BYTES) * DIMENSIONS_MAX
    + COSTS_MAX * _burned_bytes(IDENTIFIER_BYTES_MAX)
)
"""Most that any outcome has, but for values of dimensions, which stand in the request."""
_KEPT_MAX: Final = 8192


class BatchRoom:
    """Reckons for batches whose answers may have `bytes_max`."""

    def __init__(self, enforcer: Enforcer, bytes_max: int) -> None:
        self._enforcer = enforcer
        self._bytes_max = bytes_max
        self._known: dict[int, tuple[ResolvedFeature, int]] = {}

    def require(
        self, requests: Sequence[pb.CheckAndIncrementRequest], request_bytes: int, now_us: int
    ) -> list[int] | None:
        """The most bytes of each outcome; `None` where they fit whatever they are.

        `request_bytes`: of all requests together. Raises `InvalidInput` where they may not fit.
        """
        if request_bytes + len(requests) * _LARGEST_BYTES <= self._bytes_max:
            return None
        most = [self._most_bytes(request, now_us) for request in requests]
        needed = request_bytes + sum(most)
        if needed > self._bytes_max:
            raise InvalidInput(
                "checks",
                f"its answers may need {needed} bytes, and a message has {self._bytes_max} at most "
                "(message_bytes_max): nothing was counted; ask for fewer at once",
                "ANSWER_TOO_LARGE",
            )
        return most

    def with_what_fits(
        self, outcomes: Sequence[Outcome | bytes], most: Sequence[int], request_bytes: int
    ) -> list[Outcome | bytes]:
        """The outcomes, with errors for stored answers that have no room: those count nothing."""
        spare_bytes = self._bytes_max - request_bytes - sum(most)
        fitting: list[Outcome | bytes] = []
        for outcome, most_bytes in zip(outcomes, most, strict=True):
            if type(outcome) is Replay:
                excess_bytes = max(0, len(outcome.kept) + _REPLAY_BYTES - most_bytes)
                if excess_bytes > spare_bytes:
                    fitting.append(_too_large())
                    continue
                spare_bytes -= excess_bytes
            fitting.append(outcome)
        return fitting

    def _most_bytes(self, request: pb.CheckAndIncrementRequest, now_us: int) -> int:
        at_us = now_us
        if request.HasField("event_time"):
            at_us = request.event_time.seconds * SECOND_US + request.event_time.nanos // 1000
        feature = self._enforcer.feature_of(request.company, request.feature, at_us)
        if feature is None:
            return FIXED_BYTES
        known = self._known.get(id(feature))
        if known is not None and known[0] is feature:
            return known[1]
        if len(self._known) >= _KEPT_MAX:
            self._known.clear()
        most = most_bytes_of(feature)
        self._known[id(feature)] = feature, most
        return most


def _too_large() -> Exhausted:
    return Exhausted(
        "",
        "what it was answered does not fit beside the others; ask for it alone",
        "ANSWER_TOO_LARGE",
    )


def most_bytes_of(feature: ResolvedFeature) -> int:
    """Most bytes of an outcome of a check of a feature, but for values of dimensions."""
    entitlement = feature.entitlement
    limits, rates = entitlement.limits, entitlement.rates
    # As a shadow denial or a throttled limit, and in each warning.
    times = [
        *((limit.id, 1 + len(limit.warning_percents)) for limit in limits),
        *((rate.id, 1) for rate in rates),
    ]
    scopes = [*(limit.scope for limit in limits), *(rate.scope for rate in rates)]
    return (
        FIXED_BYTES
        + sum(_name_bytes(name) * count for name, count in times)
        + max((_name_bytes(name) for name, _ in times), default=0)
        + max((sum(map(_name_bytes, scope.dimensions)) for scope in scopes), default=0)
        + sum(_burned_bytes(len(each.credits.encode())) for each in entitlement.feature.costs)
    )


def _name_bytes(name: str) -> int:
    return len(name.encode()) + _NAME_BYTES
