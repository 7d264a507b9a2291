"""Rates that several sidecars share, on the way of a call: by what it goes, what it asks for."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.catalog.model import EntitlementGrant, Limit, RateLimit
from sidecar.domain.limits.rate_shares import RateName
from sidecar.domain.limits.rates import Bucket
from sidecar.domain.time.units import SECOND_US
from sidecar.engine import rate_sharing
from sidecar.storage import keys
from sidecar.storage.bucket_codec import decode_bucket
from tests.support.build import SHADOW, catalog, company, rate_limit, throttled
from tests.support.inside import Inside

BURST: Final = rate_limit("burst")
"""10 a second, 20 at once."""
SLOT: Final = "RATE/1000000/burst||"


def sidecar_of(*rates: RateLimit, limits: tuple[Limit, ...] = (), sharing: int = 4) -> Inside:
    sidecar = Inside(
        catalog({"basic": [EntitlementGrant("calls", limits=limits, rates=rates)]}), company()
    )
    sidecar.plane_status.rate_sharing.share_among(sharing)
    return sidecar


def bucket_key(sidecar: Inside) -> bytes:
    (key,) = [key for key in sidecar.contents() if key.startswith(keys.BUCKETS)]
    return key


def tell(sidecar: Inside, share_ppm: int | None) -> None:
    """Have the one bucket that there is be of a share, as full as it is."""
    key = bucket_key(sidecar)
    level = decode_bucket(sidecar.contents()[key], 1).level
    told = Bucket(level, sidecar.now_us, share_ppm)
    sidecar.opened.store.transact(
        lambda step: rate_sharing.put_bucket(step, key, BURST.rate, told, share_ppm or 1)
    )


def passed(sidecar: Inside) -> int:
    """How many single calls pass until one is denied."""
    count = 0
    while sidecar.decide().decision.allowed:
        count += 1
    return count


def test_before_a_share_is_told_calls_go_by_an_even_part() -> None:
    assert 5 == passed(sidecar_of(BURST))
    assert 20 == passed(sidecar_of(BURST, sharing=1))


def test_where_no_plane_shares_rates_calls_go_by_the_whole_whatever_was_told_before() -> None:
    sidecar = sidecar_of(BURST, sharing=0)
    sidecar.decide()
    tell(sidecar, 100_000)
    assert 19 == passed(sidecar)


def test_a_share_that_was_told_is_what_calls_go_by_and_stays_over_restarts() -> None:
    sidecar = sidecar_of(BURST)
    sidecar.decide()
    tell(sidecar, 500_000)
    assert 9 == passed(sidecar)
    sidecar.reopen()
    sidecar.now_us += SECOND_US
    assert 5 == passed(sidecar)


def test_an_answer_shows_what_the_share_lets_pass() -> None:
    told = sidecar_of(BURST).decide(3).decision.binding_limit
    assert (5, 3, 2) == (told.amount, told.used, told.remaining)
    assert 10 == told.rate.count


def test_what_the_share_does_not_hold_passes_once_its_bucket_is_empty() -> None:
    sidecar = sidecar_of(BURST)
    sidecar.decide()
    denied = sidecar.decide(20).decision
    assert not denied.allowed
    sidecar.now_us += denied.retry_after.ToMicroseconds()
    assert sidecar.decide(20).decision.allowed
    assert 0 == passed(sidecar)


def test_what_is_asked_is_added_up_whether_or_not_it_passes() -> None:
    sidecar = sidecar_of(BURST, rate_limit("watched", enforcement=SHADOW))
    for quantity in (3, 30, 0):
        sidecar.decide(quantity)
    sidecar.question(4)
    asked = sidecar.plane_status.rate_sharing.take()
    assert [33, 33] == [each.quantity for each in asked.values()]
    assert RateName("acme", "calls", SLOT) in [each.name for each in asked.values()]
    assert {} == sidecar.plane_status.rate_sharing.take()


def test_of_a_throttle_limit_what_lies_above_the_amount_is_asked_of_its_rate() -> None:
    sidecar = sidecar_of(limits=(throttled(amount=5),))
    sidecar.decide(4)
    assert {} == sidecar.plane_status.rate_sharing.take()
    sidecar.decide(3)
    (asked,) = sidecar.plane_status.rate_sharing.take().values()
    assert 2 == asked.quantity
    assert asked.name.slot.startswith("THROTTLE/")


def test_nothing_is_added_up_where_no_plane_shares_rates() -> None:
    sidecar = sidecar_of(BURST, sharing=0)
    sidecar.decide()
    assert {} == sidecar.plane_status.rate_sharing.take()


def test_who_shares_is_called_once_a_look_and_only_where_no_share_was_told() -> None:
    sidecar = sidecar_of(BURST)
    calls: list[int] = []
    sharing = sidecar.plane_status.rate_sharing
    sharing.on_first = lambda: calls.append(1)
    for _ in range(3):
        sidecar.decide()
    assert [1] == calls
    sharing.take()
    sidecar.decide()
    assert [1, 1] == calls
    tell(sidecar, 500_000)
    sharing.take()
    sidecar.decide()
    assert [1, 1] == calls


def test_rates_that_are_added_up_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_sharing, "ASKED_MAX", 3)
    sidecar = sidecar_of(rate_limit("each", each=["user"]))
    for user in range(5):
        sidecar.decide(dimensions={"user": str(user)})
    assert 3 == len(sidecar.plane_status.rate_sharing.take())
