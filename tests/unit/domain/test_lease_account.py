"""What a plane answers to a request for a lease, case by case."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.leases.account import GrantingTerms, LeaseAccount, LeaseVerdict, judge
from sidecar.domain.leases.model import LeaseRequest, LeaseResult, LeaseStatus
from sidecar.domain.limits.counters import CounterName, CounterRef
from sidecar.domain.time.windows import LIFETIME_WINDOW

COUNTER = CounterName("acme", "tokens", CounterRef("LIFETIME||", (), LIFETIME_WINDOW))
TERMS = GrantingTerms(ceiling=100, amount=100, valid_until_us=9)
(
    GRANTED, EXHAUSTED, RECALLING, GONE, SUPERSEDED, REFUSED, RECOVERING, BEHIND, WITHHELD,
) = LeaseStatus  # fmt: skip


def asks(
    need: int = 0, want: int | None = None, *, held: int = 0, used: int = 0, number: int = 5
) -> LeaseRequest:
    return LeaseRequest(COUNTER, number, held, used, need, need if want is None else want)


def knows(
    granted: int = 0, own: int = 0, *, others: int = 0, outstanding: int = 0, active: int = 0
) -> LeaseAccount:
    """An account of one that was granted and has counted something, as have others."""
    return LeaseAccount(
        used=own + others,
        own=own,
        granted=granted,
        number=4,
        amount=100,
        valid_until_us=9,
        outstanding_of_others=outstanding,
        active_others=active,
    )


@pytest.mark.parametrize(
    ("request_", "account", "status", "granted"),
    [
        pytest.param(asks(3), LeaseAccount(), GRANTED, 3, id="what a call needs"),
        pytest.param(asks(3, 10), LeaseAccount(), GRANTED, 10, id="and what would do for a while"),
        pytest.param(asks(0, 80), LeaseAccount(), GRANTED, 50, id="half at the most, who is alone"),
        pytest.param(asks(0, 80), knows(active=4), GRANTED, 10, id="the less, the more ask"),
        pytest.param(asks(70, 80), knows(active=4), GRANTED, 70, id="but what is needed"),
        pytest.param(asks(100), knows(), GRANTED, 100, id="all there is, for one call"),
        pytest.param(asks(101), knows(), EXHAUSTED, 0, id="never more than there is"),
        pytest.param(
            asks(1, held=40, used=40), knows(40, 40, others=59), GRANTED, 41, id="the last one"
        ),
        pytest.param(
            asks(1, held=40, used=40), knows(40, 40, others=60), EXHAUSTED, 40, id="none is left"
        ),
        pytest.param(
            asks(10, held=40, used=20), knows(40, 20), GRANTED, 40, id="held already: nothing new"
        ),
        pytest.param(
            asks(25, held=40, used=20),
            knows(40, 10, others=50, outstanding=9),
            EXHAUSTED,
            40,
            id="records on their way are outstanding",
        ),
        pytest.param(
            asks(0, 0, held=20, used=20), knows(40, 15), GRANTED, 20, id="given back to its usage"
        ),
        pytest.param(
            asks(0, 0, held=20, used=20), knows(40, 30), GRANTED, 30, id="never below what arrived"
        ),
        pytest.param(
            asks(30, held=20, used=20), knows(40, 20), GRANTED, 50, id="given back and asked anew"
        ),
        pytest.param(asks(5, held=41), knows(40, 10), REFUSED, 0, id="more than was granted"),
        pytest.param(
            asks(1, held=50, used=50), knows(40, 50), GRANTED, 51, id="usage past it was recorded"
        ),
        pytest.param(
            asks(1, held=40, used=50), knows(40, 30), BEHIND, 40, id="and has not arrived yet"
        ),
        pytest.param(
            asks(0, 0, held=0, used=30), knows(40, 10), GRANTED, 30, id="a forgotten lease, spent"
        ),
        pytest.param(asks(1, number=3), knows(40), SUPERSEDED, 0, id="a smaller number"),
        pytest.param(
            asks(5, 20, held=40, used=30, number=4), knows(40), GRANTED, 40, id="the same number"
        ),
        pytest.param(
            asks(15, held=10, used=30, number=4),
            knows(40, others=80),
            EXHAUSTED,
            40,
            id="the same, too little",
        ),
        pytest.param(
            asks(15, held=10, used=30, number=4),
            knows(40),
            RECALLING,
            40,
            id="the same, though there is some by now",
        ),
        pytest.param(
            asks(1, held=0, used=50, number=4), knows(40), BEHIND, 40, id="the same, more counted"
        ),
        pytest.param(
            asks(INT64_MAX, held=9), knows(9), EXHAUSTED, 9, id="more than a number can be"
        ),
        pytest.param(
            asks(0, INT64_MAX, used=0), knows(), GRANTED, 50, id="as much as a number can be"
        ),
        pytest.param(
            asks(0, 10, held=20, used=20),
            knows(20, 20, others=90),
            GRANTED,
            20,
            id="nothing where others have passed the limit, and nobody waits",
        ),
    ],
)
def test_a_request_is_answered_by_its_account(
    request_: LeaseRequest, account: LeaseAccount, status: LeaseStatus, granted: int
) -> None:
    verdict = judge(request_, account, TERMS)
    assert (status, granted) == (verdict.result.status, verdict.result.granted)
    changes_nothing = request_.number <= account.number or status is REFUSED
    assert verdict.kept != changes_nothing


def test_an_answer_says_by_what_it_was_granted_and_until_when() -> None:
    known = replace(knows(), all_know_leases=False)
    assert LeaseVerdict(LeaseResult(5, GRANTED, 7, 9, False, 0, 100), kept=True) == judge(
        asks(7), known, TERMS
    )
    repeated = replace(known, number=5, granted=7, amount=60, valid_until_us=3)
    assert LeaseVerdict(LeaseResult(5, GRANTED, 7, 3, False, 0, 60)) == judge(
        asks(7), repeated, TERMS
    )


@pytest.mark.parametrize(
    ("need", "outstanding", "others", "lacking"),
    [(50, 60, 0, 10), (41, 60, 0, 1), (100, 60, 0, 60), (101, 60, 0, 0), (5, 30, 90, 25)],
)
def test_what_lacks_may_be_at_others_unless_the_limit_is_no_larger(
    need: int, outstanding: int, others: int, lacking: int
) -> None:
    verdict = judge(asks(need), knows(others=others, outstanding=outstanding), TERMS)
    assert (EXHAUSTED, lacking) == (verdict.result.status, verdict.lacking)


def test_of_a_counter_that_is_not_leased_what_is_given_back_counts() -> None:
    gone = judge(asks(5, held=20, used=20), knows(40, 10), None)
    assert (GONE, 20, True) == (gone.result.status, gone.result.granted, gone.kept)
    forgotten = judge(asks(5, held=0, used=20), knows(40, 10), None)
    assert (GONE, 20) == (forgotten.result.status, forgotten.result.granted)
    unheard_of = judge(asks(5), LeaseAccount(), None)
    assert (GONE, 0, False) == (
        unheard_of.result.status,
        unheard_of.result.granted,
        unheard_of.kept,
    )


@pytest.mark.parametrize("withheld", [RECALLING, RECOVERING])
def test_while_it_is_withheld_nothing_more_is_granted_and_returns_count(
    withheld: LeaseStatus,
) -> None:
    terms = replace(TERMS, withheld=withheld, retry_after_ms=300)
    asked = judge(asks(1, held=20, used=20), knows(40, 20), terms)
    assert (withheld, 20, 300) == (
        asked.result.status,
        asked.result.granted,
        asked.result.retry_after_ms,
    )
    refill = judge(asks(0, 9, held=20, used=20), knows(40, 20), terms)
    assert (GRANTED, 20, 0) == (
        refill.result.status,
        refill.result.granted,
        refill.result.retry_after_ms,
    )
    assert GRANTED is judge(asks(5, held=40, used=20), knows(40, 20), terms).result.status


def test_what_was_granted_by_a_greater_amount_comes_back_before_more_is_granted() -> None:
    lowered = GrantingTerms(ceiling=60, amount=60, valid_until_us=9)
    over = knows(40, 20, outstanding=21)
    still = judge(asks(30, held=40, used=20), over, lowered)
    assert (RECALLING, 40, 100) == (still.result.status, still.result.granted, still.result.amount)
    assert still.is_lowered
    assert GRANTED is judge(asks(0, 5, held=40, used=20), over, lowered).result.status
    back = judge(asks(19, held=20, used=20), over, lowered)
    assert (GRANTED, 39, 60) == (back.result.status, back.result.granted, back.result.amount)
    assert not back.is_lowered
    fits = judge(asks(30, held=40, used=20), knows(40, 20), lowered)
    assert (GRANTED, 50, 60) == (fits.result.status, fits.result.granted, fits.result.amount)
    raised = judge(asks(30, held=40, used=20), knows(40, 20), replace(TERMS, amount=200))
    assert (GRANTED, 200) == (raised.result.status, raised.result.amount)


def test_a_lease_that_was_given_up_is_granted_anew_as_far_as_there_is_something() -> None:
    released = replace(knows(40, 10, others=60), released=True)
    assert (GRANTED, 15) == _told(asks(5, held=40, used=10), released)
    assert (EXHAUSTED, 10) == _told(asks(31, held=40, used=10), released)
    assert (BEHIND, 10) == _told(asks(1, held=40, used=12), released)


def _told(request: LeaseRequest, account: LeaseAccount) -> tuple[LeaseStatus, int]:
    result = judge(request, account, TERMS).result
    return result.status, result.granted


LEVEL = CounterName("acme", "jobs", CounterRef("LEVEL||", (), LIFETIME_WINDOW))


def of_level(request: LeaseRequest) -> LeaseRequest:
    return replace(request, counter=LEVEL)


def test_who_took_back_what_was_reported_keeps_no_more_than_it_says() -> None:
    request = of_level(asks(held=2, used=2))
    verdict = judge(request, knows(10, 10, others=90), TERMS)
    assert (GRANTED, 2) == (verdict.result.status, verdict.result.granted)
    assert 10 == judge(asks(held=2, used=2), knows(10, 10), TERMS).result.granted


def test_what_was_taken_back_without_a_lease_is_leased_as_any_other() -> None:
    account = LeaseAccount(used=95, own=-5)
    assert REFUSED is judge(of_level(asks(held=0, used=-5)), account, TERMS).result.status
    granted = judge(of_level(asks(5, held=-5, used=-5)), account, TERMS).result
    assert (GRANTED, 0) == (granted.status, granted.granted)
    assert EXHAUSTED is judge(of_level(asks(6, held=-5, used=-5)), account, TERMS).result.status


def test_of_a_lease_that_was_given_up_nothing_comes_back_by_itself() -> None:
    account = replace(knows(5, -2, others=102), released=True)
    result = judge(of_level(asks(1, held=5, used=-2)), account, TERMS).result
    assert (EXHAUSTED, -2) == (result.status, result.granted)


def test_what_comes_back_of_a_level_in_use_is_not_spent_past_a_lowered_limit() -> None:
    lowered = GrantingTerms(ceiling=12, amount=12, valid_until_us=9)
    asked = of_level(asks(0, 64, held=16, used=16))
    all_in_use = judge(asked, replace(knows(16, 16), amount=30), lowered)
    assert (16, 30) == (all_in_use.result.granted, all_in_use.result.amount)
    assert not all_in_use.is_lowered  # nothing can be given back yet
    fallen = replace(knows(16, 8), amount=30)
    less = judge(of_level(asks(8, 64, held=16, used=8)), fallen, lowered)
    assert (RECALLING, 30, True) == (less.result.status, less.result.amount, less.is_lowered)
