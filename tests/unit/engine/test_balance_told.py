"""What is told of a balance to who asks for usage, and to who watches."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.credits.source_slots import OVERDRAFT_COUNTER
from sidecar.domain.limits.usage import QuotaUsage, remaining
from sidecar.domain.slices import whole
from sidecar.domain.time.units import DAY_US
from sidecar.watch.events import FeatureState
from sidecar.watch.states import StateReader, Subject
from tests.support.build import NOW_US, company
from tests.support.burning import CREDITS, costs, credits_catalog, one_off, recurring
from tests.support.inside import Inside

SOON: Final = NOW_US + DAY_US


def sidecar(overdraft: int = 4) -> Inside:
    content = credits_catalog({"calls": [costs(1)]}, recurring(amount=10), overdraft=overdraft)
    inside = Inside(content, company())
    inside.grant(one_off("gift", 5, priority=2), one_off("later", 5, from_us=SOON))
    return inside


def watched(inside: Inside) -> FeatureState:
    reader = StateReader(inside.opened.store, inside.directory, inside.plane_status)
    state = whole(reader.read(Subject("acme", (CREDITS,)), (), None, inside.now_us))
    (found,) = state.features
    return found


def test_usage_of_a_balance_is_that_of_its_sources_in_burn_order() -> None:
    inside = sidecar()
    inside.decide(12)
    found = whole(inside.queries.usage("acme", "", NOW_US, NOW_US))
    usages = dict(found.features)[CREDITS]
    assert all(isinstance(usage, QuotaUsage) for usage in usages)
    told = [(usage.id, usage.used, remaining(usage)) for usage in usages]
    assert [("monthly", 10, 0), ("gift", 2, 3), ("overdraft", 0, 4)] == told


def test_who_watches_a_balance_sees_its_sources_and_what_comes_into_force() -> None:
    inside = sidecar()
    state = watched(inside)
    assert ["monthly", "gift", "overdraft"] == [each.usage.id for each in state.limits]
    assert SOON == state.until_us
    inside.now_us = SOON
    state = watched(inside)
    assert ["monthly", "later", "gift", "overdraft"] == [each.usage.id for each in state.limits]


@pytest.mark.parametrize("overdraft", [0, 4])
def test_all_that_is_owed_is_off_the_balance_whatever_may_be(overdraft: int) -> None:
    inside = sidecar(overdraft)
    inside.opened.count(9, OVERDRAFT_COUNTER, feature=CREDITS)
    balance = watched(inside).balance
    assert balance is not None
    assert (6, 15) == (balance.left, balance.available)
