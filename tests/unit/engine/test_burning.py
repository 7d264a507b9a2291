"""What a check burns of a balance of credits, by outcome. No leases: see `test_burning_leased`."""

from __future__ import annotations

from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import EntitlementGrant, Feature, FeatureKind, Limit
from sidecar.domain.credits.grants import GrantKind
from sidecar.domain.errors import InvalidInput, OutOfRange
from sidecar.domain.limits.reasons import GrantMode, Reason
from sidecar.domain.time.units import DAY_US
from tests.support.build import NOW_US, company, limit
from tests.support.burning import costs, credits_catalog, one_off, parts_in, recurring
from tests.support.inside import Inside

PRICED: Final = {
    "calls": [costs(2, 3)],
    "models": [costs(by={"small": 1, "large": 10})],
    "free": [],
}


def sidecar(*limits: Limit, overdraft: int = 0, **on: list[Limit]) -> Inside:
    content = credits_catalog(PRICED, *limits, overdraft=overdraft, on=on)
    return Inside(content, company())


def told(answer: pb.CheckAndIncrementResponse) -> tuple[Reason, int, dict[str, int], int]:
    """Reason, what was burned, of which sources, and what is left."""
    (burned,) = answer.decision.burned
    assert burned.amount == sum(parts_in(burned).values())
    return Reason(answer.decision.reason), burned.amount, parts_in(burned), burned.left


def reason(answer: pb.CheckAndIncrementResponse) -> Reason:
    return Reason(answer.decision.reason)


def test_a_call_burns_its_cost_rounded_up_to_a_whole_micro_credit() -> None:
    inside = sidecar(recurring(amount=100))
    assert (Reason.ALLOWED, 3, {"monthly": 3}, 97) == told(inside.decide(4))
    assert (Reason.ALLOWED, 1, {"monthly": 1}, 96) == told(inside.decide(1))


def test_a_feature_without_costs_burns_nothing() -> None:
    inside = sidecar(recurring(amount=100))
    answer = inside.decide(4, "free")
    assert not answer.decision.burned
    (record,) = inside.records()
    assert (0, 0) == (len(record.burns), len(record.costs))


def test_the_price_goes_by_the_dimension() -> None:
    inside = sidecar(recurring(amount=100))
    large = inside.decide(4, "models", dimensions={"model": "large"})
    assert (Reason.ALLOWED, 40, {"monthly": 40}, 60) == told(large)
    with pytest.raises(InvalidInput, match="has no price"):
        inside.decide(1, "models", dimensions={"model": "middle"})
    assert 1 == len(inside.records())


def test_what_no_balance_has_is_denied_and_leaves_no_trace() -> None:
    inside = sidecar(recurring(amount=3), calls=[limit("whole", 100)])
    before = inside.contents()
    answer = inside.decide(6, key="k")
    (burned,) = answer.decision.burned
    assert (Reason.CREDITS_EXHAUSTED, 0, {}, 3) == told(answer)
    assert (4, 0) == (burned.needed, answer.decision.granted)
    assert before == inside.contents()
    assert (Reason.ALLOWED, 3, {"monthly": 3}, 0) == told(inside.decide(4, key="k"))


def test_a_limit_that_denies_burns_nothing() -> None:
    inside = sidecar(recurring(), calls=[limit("whole", 5)])
    assert Reason.LIMIT_EXCEEDED is reason(inside.decide(6))
    assert (Reason.ALLOWED, 4, {"monthly": 4}, 96) == told(inside.decide(5))


def test_sources_burn_by_priority_then_expiry_then_kind_then_start_then_name() -> None:
    inside = sidecar(recurring(amount=10, priority=1))
    soon, late = NOW_US + DAY_US, NOW_US + 90 * DAY_US
    inside.grant(
        one_off("g", 2, priority=2),
        one_off("f", 2, priority=1, until_us=late),
        one_off("e", 2, priority=1, until_us=soon),
        one_off("d", 2, priority=1, until_us=soon, from_us=NOW_US - 2_000),
        one_off("c", 2, priority=1, until_us=soon, kind=GrantKind.PAID, from_us=NOW_US - 3_000),
        one_off("b", 2),
        one_off("a", 2),
    )
    answer = inside.decide(32)
    names = [part.source for part in answer.decision.burned[0].parts]
    assert ["a", "b", "d", "e", "c", "monthly", "f"] == names
    assert 2 == answer.decision.burned[0].left


def test_a_grant_is_spent_from_its_first_microsecond_up_to_its_last() -> None:
    inside = sidecar()
    inside.grant(one_off("g", 10, from_us=NOW_US + 5, until_us=NOW_US + 7))
    told_at = {}
    for inside.now_us in range(NOW_US + 4, NOW_US + 8):
        told_at[inside.now_us - NOW_US] = Reason(inside.decide(1).decision.reason)
    allowed, exhausted = Reason.ALLOWED, Reason.CREDITS_EXHAUSTED
    assert {4: exhausted, 5: allowed, 6: allowed, 7: exhausted} == told_at


def test_late_usage_burns_what_was_in_force_then() -> None:
    inside = sidecar()
    inside.grant(one_off("over", 10, until_us=NOW_US), one_off("now", 10, from_us=NOW_US))
    assert {"over": 2} == told(inside.decide(3, at_us=NOW_US - 1))[2]
    assert {"now": 2} == told(inside.decide(3))[2]


def test_up_to_grants_what_the_balance_pays_for() -> None:
    inside = sidecar(recurring(amount=5), calls=[limit("whole", 100)])
    answer = inside.decide(50, mode=GrantMode.UP_TO)
    assert (Reason.ALLOWED, 5, {"monthly": 5}, 0) == told(answer)
    assert (7, 93) == (answer.decision.granted, answer.decision.binding_limit.remaining)
    assert Reason.CREDITS_EXHAUSTED is reason(inside.decide(50, mode=GrantMode.UP_TO))


def test_what_has_happened_burns_what_there_is_and_tells_the_whole_cost() -> None:
    inside = sidecar(recurring(amount=5))
    answer = inside.decide(30, mode=GrantMode.RECORD_ONLY)
    assert (Reason.CREDITS_EXHAUSTED, 5, {"monthly": 5}, 0) == told(answer)
    assert answer.decision.allowed
    assert 30 == answer.decision.granted
    (record,) = inside.records()
    assert [("credits", 20)] == [(cost.feature, cost.amount) for cost in record.costs]
    assert [5] == [burn.amount for burn in record.burns]


def test_what_has_happened_without_a_price_costs_the_dearest() -> None:
    inside = Inside(credits_catalog(PRICED, recurring()), company(), let_pass=True)
    answer = inside.decide(2, "models", mode=GrantMode.RECORD_ONLY, dimensions={"model": "odd"})
    assert 20 == told(answer)[1]


def test_the_overdraft_burns_last() -> None:
    inside = sidecar(recurring(amount=5), overdraft=4)
    assert (Reason.ALLOWED, 8, {"monthly": 5, "overdraft": 3}, 1) == told(inside.decide(12))
    assert Reason.CREDITS_EXHAUSTED is reason(inside.decide(3))
    assert {"overdraft": 1} == told(inside.decide(1))[2]


def test_a_question_tells_what_is_left_and_burns_nothing() -> None:
    inside = sidecar(recurring(amount=5))
    assert (Reason.ALLOWED, 0, {}, 5) == told(inside.decide(0))
    assert inside.allows(7)
    assert not inside.allows(8)
    (burned,) = inside.question(4).decision.burned
    assert (3, 3, 2) == (burned.needed, burned.amount, burned.left)
    assert not inside.records()


def test_a_retry_gets_the_same_answer_and_burns_nothing() -> None:
    inside = sidecar(recurring(amount=5))
    first = inside.decide(3, key="k")
    again = inside.decide(3, key="k")
    assert again.replayed
    assert first.decision == again.decision
    assert (Reason.ALLOWED, 0, {}, 3) == told(inside.decide(0))


def test_a_record_names_what_burned_and_what_it_cost() -> None:
    inside = sidecar(recurring(amount=3))
    inside.grant(one_off("g|1", 9, priority=5, until_us=NOW_US + DAY_US))
    inside.decide(9)
    (record,) = inside.records()
    assert [("credits", 6)] == [(cost.feature, cost.amount) for cost in record.costs]
    named = [(burn.feature, burn.counter.slot, burn.amount) for burn in record.burns]
    assert [("credits", "MONTH/1/CALENDAR||", 3), ("credits", "GRANT|g%7C1", 3)] == named
    assert NOW_US + DAY_US == record.burns[1].counter.window_end_us


def test_a_cost_past_what_can_be_counted_is_refused() -> None:
    inside = sidecar(recurring(amount=3))
    with pytest.raises(OutOfRange):
        inside.decide(INT64_MAX, "models", dimensions={"model": "large"})
    answer = inside.decide(
        INT64_MAX, "models", mode=GrantMode.RECORD_ONLY, dimensions={"model": "large"}
    )
    assert INT64_MAX == answer.decision.burned[0].needed


def test_usage_of_two_balances_burns_both_or_none() -> None:
    content = credits_catalog(
        {"calls": [costs(1), costs(3, balance="tokens")]}, recurring(amount=10)
    )
    tokens = EntitlementGrant("tokens", limits=(recurring("daily", 9),))
    (plan,) = content.plans
    features = (*content.features, Feature("tokens", FeatureKind.CREDITS))
    content = replace(
        content,
        features=features,
        plans=(replace(plan, entitlements=(*plan.entitlements, tokens)),),
    )
    inside = Inside(content, company())
    answer = inside.decide(3)
    assert [3, 9] == [burned.amount for burned in answer.decision.burned]
    answer = inside.decide(1)
    assert Reason.CREDITS_EXHAUSTED is reason(answer)
    assert [(1, 7), (3, 0)] == [(each.needed, each.left) for each in answer.decision.burned]


def test_what_was_burned_is_known_after_a_restart_and_a_loss_of_power() -> None:
    inside = sidecar(recurring(amount=5))
    inside.decide(3)
    inside.reopen()
    assert 3 == told(inside.decide(0))[3]
    inside.reopen(power_lost=True)
    assert 3 == told(inside.decide(0))[3]
