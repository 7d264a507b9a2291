"""Usage in windows that are over: asked for once, before anything is decided by it."""

from __future__ import annotations

from typing import Final

from sidecar.domain.limits.counters import CounterName, CounterTotal
from sidecar.domain.limits.reasons import GrantMode, Reason
from sidecar.domain.limits.requests import Check
from sidecar.domain.slices import whole
from sidecar.domain.time.units import DAY_US
from sidecar.engine.enforce import Answer
from sidecar.engine.explain import Explainer, Explanation
from sidecar.engine.needs import COUNTERS_MAX, Needs
from sidecar.engine.query import Queries
from tests.support.build import DAY, NOW_US, catalog, check, company, counter_ref, limit, metered
from tests.support.inside import Inside

DAILY: Final = limit("daily", 10, window=DAY)
PER_USER: Final = limit("per_user", 5, window=DAY, each=["user"])
BACK_US: Final = NOW_US - 2 * DAY_US
REF: Final = counter_ref(DAILY, at_us=BACK_US)
NAME: Final = CounterName("acme", "calls", REF)


def sidecar_of(*, authority: bool = False) -> Inside:
    return Inside(
        catalog({"basic": [metered("calls", DAILY, PER_USER)]}), company(), authority=authority
    )


def told(sidecar: Inside, used: int, version: int) -> None:
    said = CounterTotal("acme", "calls", REF, used, 0, version)
    sidecar.opened.counters.hear(sidecar.opened.store.incarnation.id, [said])


def test_a_window_that_is_over_is_needed_before_anything_is_decided() -> None:
    sidecar = sidecar_of()
    late = check(at_us=BACK_US)
    needs = sidecar.enforcer.check_and_increment(late, NOW_US)
    assert Needs(counters=frozenset({NAME})) == needs
    assert not sidecar.opened.store.waiting_records()
    sidecar.plane_status.heard_since = 3
    told(sidecar, 9, 3)
    answer = sidecar.enforcer.check_and_increment(late, NOW_US)
    assert isinstance(answer, Answer)
    assert answer.decision.binding is not None
    assert (Reason.ALLOWED, 10) == (answer.decision.reason, answer.decision.binding.used)
    assert 0 == answer.basis.plane_age_ms


def test_what_was_heard_before_something_may_have_been_missed_is_asked_for_again() -> None:
    sidecar = sidecar_of()
    sidecar.plane_status.heard_since = 4
    told(sidecar, 9, 3)
    needs = sidecar.enforcer.check_and_increment(check(at_us=BACK_US), NOW_US)
    assert isinstance(needs, Needs)


def test_what_cannot_be_had_is_decided_without_and_the_basis_says_so() -> None:
    sidecar = sidecar_of()
    asked = Needs(counters=frozenset({NAME}))
    answer = sidecar.enforcer.check_and_increment(check(at_us=BACK_US), NOW_US, asked)
    assert isinstance(answer, Answer)
    assert answer.decision.allowed
    assert NOW_US // 1_000 == answer.basis.plane_age_ms


def test_a_batch_asks_for_all_before_its_first_check_is_decided() -> None:
    sidecar = sidecar_of()
    checks = [check(), *(late_by(user) for user in range(3))]
    needs = sidecar.enforcer.check_and_increment_each(checks, NOW_US)
    assert isinstance(needs, Needs)
    assert 1 + 3 == len(needs.counters)
    assert not sidecar.opened.store.waiting_records()
    outcomes = sidecar.enforcer.check_and_increment_each(checks, NOW_US, needs)
    assert not isinstance(outcomes, Needs)
    assert [True] * 4 == [
        isinstance(outcome, Answer) and outcome.decision.allowed for outcome in outcomes
    ]


def test_a_batch_asks_for_so_many_at_the_most_and_once() -> None:
    sidecar = sidecar_of()
    checks = [late_by(user) for user in range(COUNTERS_MAX + 5)]
    needs = sidecar.enforcer.check_and_increment_each(checks, NOW_US)
    assert isinstance(needs, Needs)
    assert COUNTERS_MAX == len(needs.counters)
    assert not isinstance(sidecar.enforcer.check_and_increment_each(checks, NOW_US, needs), Needs)


def test_what_has_happened_asks_for_them_as_its_overage_depends_on_them() -> None:
    sidecar = sidecar_of()
    happened = check(at_us=BACK_US, mode=GrantMode.RECORD_ONLY)
    needs = sidecar.enforcer.check_and_increment(happened, NOW_US)
    assert isinstance(needs, Needs)
    assert isinstance(sidecar.enforcer.check_and_increment(happened, NOW_US, needs), Answer)


def test_an_explanation_asks_for_them_as_the_check_would() -> None:
    sidecar = sidecar_of()
    explainer = Explainer(sidecar.opened.store, sidecar.directory, sidecar.plane_status)
    question = check(at_us=BACK_US)
    needs = explainer.explain(question, NOW_US)
    assert isinstance(needs, Needs)
    assert needs == sidecar.enforcer.check_and_increment(question, NOW_US)
    explained = explainer.explain(question, NOW_US, needs)
    assert isinstance(explained, Explanation)
    assert NOW_US // 1_000 == explained.basis.plane_age_ms


def test_usage_of_windows_that_are_over_does_not_look_healthier_than_it_is() -> None:
    sidecar = sidecar_of()
    queries = Queries(
        sidecar.opened.store, sidecar.opened.counters, sidecar.directory, sidecar.plane_status
    )
    ages = [
        whole(queries.usage("acme", "calls", at_us, NOW_US)).basis.plane_age_ms
        for at_us in (BACK_US, NOW_US)
    ]
    assert [NOW_US // 1_000, 0] == ages


def test_the_authority_knows_what_was_counted() -> None:
    sidecar = sidecar_of(authority=True)
    late = check(at_us=BACK_US)
    assert isinstance(sidecar.enforcer.check_and_increment(late, NOW_US), Answer)


def late_by(user: int) -> Check:
    return check(at_us=BACK_US, dimensions={"user": str(user)})
