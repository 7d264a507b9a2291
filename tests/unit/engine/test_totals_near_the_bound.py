"""A plane that tells totals near 2^63 makes no call impossible: limits decide, and usage counts."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import Limit
from sidecar.domain.limits.reasons import GrantMode
from tests.support.build import (
    HARD,
    LIFETIME,
    SHADOW,
    SOFT,
    catalog,
    company,
    counter_ref,
    limit,
    metered,
    throttled,
    total,
)
from tests.support.inside import Inside
from tests.support.method_calls import ANYONE, answer_of

LIMITS: Final = {
    "unlimited": limit("all", None, HARD, LIFETIME),
    "soft": limit("all", 10, SOFT, LIFETIME),
    "shadow": limit("all", 10, SHADOW, LIFETIME),
    "throttled": throttled("all", 10, window=LIFETIME),
    "hard": limit("all", 10, HARD, LIFETIME),
}


def told(of: Limit, others: int, *, usual: bool = True) -> Inside:
    """A sidecar to which the plane has told what others used."""
    sidecar = Inside(catalog({"basic": [metered("calls", of)]}), company(), usual=usual)
    hear(sidecar, of, others)
    return sidecar


def hear(sidecar: Inside, of: Limit, others: int, version: int = 1) -> None:
    incarnation = sidecar.opened.store.incarnation.id
    assert sidecar.opened.counters.hear(incarnation, [total(counter_ref(of), others, 0, version)])


@pytest.mark.parametrize("usual", [True, False], ids=["usual", "general"])
@pytest.mark.parametrize("others", [INT64_MAX - 2, INT64_MAX])
@pytest.mark.parametrize("kind", LIMITS)
async def test_a_check_under_a_key_is_answered_and_its_retry_is_too(
    kind: str, others: int, usual: bool
) -> None:
    sidecar = told(LIMITS[kind], others, usual=usual)
    request = pb.CheckAndIncrementRequest(
        company="acme", feature="calls", quantity=5, idempotency_key="once"
    ).SerializeToString()
    first, again = [
        pb.CheckAndIncrementResponse.FromString(
            await answer_of(sidecar.methods.check_and_increment, request)
        )
        for _ in range(2)
    ]
    allowed = kind != "hard"
    assert (allowed, allowed) == (first.decision.allowed, again.decision.allowed)
    assert (False, allowed) == (first.replayed, again.replayed)
    named = first.decision.binding_limit
    assert (INT64_MAX if allowed else others) == named.used
    assert (5 if kind == "soft" else 0) == first.decision.overage
    assert ([5] if allowed else []) == [record.quantity for record in sidecar.records()]


@pytest.mark.parametrize("kind", LIMITS)
def test_what_has_happened_is_recorded_whatever_others_are_said_to_have_used(kind: str) -> None:
    sidecar = told(LIMITS[kind], INT64_MAX)
    for quantity in (5, INT64_MAX, INT64_MAX):
        assert sidecar.decide(quantity, mode=GrantMode.RECORD_ONLY).decision.allowed
    assert [5, INT64_MAX, INT64_MAX] == [record.quantity for record in sidecar.records()]


async def test_the_usage_that_is_shown_stays_at_the_bound() -> None:
    sidecar = told(LIMITS["unlimited"], INT64_MAX)
    assert sidecar.decide(7).decision.allowed
    request = pb.GetUsageRequest(company="acme").SerializeToString()
    shown = pb.GetUsageResponse.FromString(await sidecar.query_methods.get_usage(request, ANYONE))
    assert [INT64_MAX] == [of.used for usage in shown.features for of in usage.limits]


def test_what_was_counted_meanwhile_is_there_once_the_truth_is_told_with_corrections() -> None:
    """The plane takes back what it was wrong about by a correction of its own."""
    of = LIMITS["unlimited"]
    sidecar = told(of, INT64_MAX)
    assert sidecar.decide(7).decision.allowed
    incarnation = sidecar.opened.store.incarnation.id
    corrected = total(counter_ref(of), 30, 0, 2, corrections=30 - INT64_MAX)
    sidecar.opened.counters.hear(incarnation, [corrected])
    assert 38 == sidecar.decide(1).decision.binding_limit.used
