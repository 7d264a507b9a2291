"""A value of a dimension has an amount of its own: everything that is answered goes by it."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.catalog.model import Limit
from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.slices import whole
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from sidecar.engine.needs import Needs
from sidecar.engine.usage_report import UsageReport
from tests.support.build import DAY, catalog, check, company, limit, metered, throttled
from tests.support.inside import Inside

AMOUNTS: Final = (("ci", None), ("none", 0), ("vip", 500))
PER_USER: Final = limit("per_user", 100, window=DAY, each=["user"])
PER_REQUEST: Final = limit("at_once", 100, window=WindowSpec(WindowUnit.REQUEST), each=["user"])


def sidecar_of(of: Limit) -> Inside:
    own = msgspec.structs.replace(of, amounts=AMOUNTS)
    return Inside(catalog({"basic": [metered("calls", own)]}), company())


def ask(
    sidecar: Inside, user: str, quantity: int, mode: GrantMode = GrantMode.ALL_OR_NOTHING
) -> pb.Decision:
    return sidecar.decide(quantity, dimensions={"user": user}, mode=mode).decision


@pytest.mark.parametrize(("user", "amount"), [("ann", 100), ("vip", 500), ("none", 0)])
def test_each_value_is_held_to_its_own_amount(user: str, amount: int) -> None:
    sidecar = sidecar_of(PER_USER)
    if amount:
        allowed = ask(sidecar, user, amount)
        assert (True, amount, 0) == (
            allowed.allowed,
            allowed.binding_limit.amount,
            allowed.binding_limit.remaining,
        )
    denied = ask(sidecar, user, 1)
    assert (False, pb.REASON_LIMIT_EXCEEDED) == (denied.allowed, denied.reason)
    assert amount == denied.binding_limit.amount


def test_a_value_that_is_unlimited_is_counted_all_the_same() -> None:
    sidecar = sidecar_of(PER_USER)
    decision = ask(sidecar, "ci", 1 << 40)
    assert decision.allowed
    assert not decision.binding_limit.HasField("amount")
    assert 1 << 40 == decision.binding_limit.used


def test_up_to_what_is_left_of_its_own_amount() -> None:
    sidecar = sidecar_of(PER_USER)
    assert 500 == ask(sidecar, "vip", 900, GrantMode.UP_TO).granted
    assert 100 == ask(sidecar, "ann", 900, GrantMode.UP_TO).granted


def test_thresholds_are_those_of_its_own_amount() -> None:
    sidecar = sidecar_of(PER_USER)
    assert not ask(sidecar, "vip", 100).warnings
    assert [50] == [warning.percent for warning in ask(sidecar, "vip", 150).warnings]


def test_a_throttle_begins_past_its_own_amount() -> None:
    sidecar = sidecar_of(throttled("slowed", 10, each=["user"]))
    assert ask(sidecar, "vip", 500).allowed
    assert ["slowed"] == list(ask(sidecar, "vip", 1).throttled)
    assert not ask(sidecar, "ci", 600).throttled


@pytest.mark.parametrize(("user", "most"), [("ann", 100), ("vip", 500), ("none", 0)])
def test_a_request_is_held_to_the_amount_of_its_value(user: str, most: int) -> None:
    sidecar = sidecar_of(PER_REQUEST)
    assert (most > 0) == ask(sidecar, user, max(1, most)).allowed
    assert not ask(sidecar, user, most + 1).allowed


def test_usage_is_told_against_its_own_amount() -> None:
    sidecar = sidecar_of(PER_USER)
    for user in ("ann", "ci", "vip"):
        ask(sidecar, user, 7)
    report = whole(sidecar.queries.usage("acme", "", sidecar.now_us, sidecar.now_us, 100, None))
    assert isinstance(report, UsageReport)
    ((_, usages),) = report.features
    told = {tuple(usage.dimensions.values()): usage.amount for usage in usages}
    assert {("ann",): 100, ("ci",): None, ("vip",): 500} == told


def test_an_explanation_names_its_own_amount() -> None:
    sidecar = sidecar_of(PER_USER)
    question = check(quantity=501, dimensions={"user": "vip"})
    had = Needs(frozenset(("acme",)))
    explained = sidecar.explainer.explain(question, sidecar.now_us, had)
    assert not isinstance(explained, Needs)
    (usage,) = explained.usages
    assert (500, False) == (usage.amount, explained.decision.allowed)
