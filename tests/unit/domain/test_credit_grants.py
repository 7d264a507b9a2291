"""Grants of credits: when they can be spent, in which order they burn, what may return to them."""

from __future__ import annotations

from itertools import permutations
from typing import Final

import pytest

from sidecar.domain.bounds import FOREVER_US, INT64_MAX
from sidecar.domain.credits.grants import (
    PRIORITY_MAX,
    CreditGrant,
    GrantKind,
    burn_order,
    require_grant,
    require_unexpired,
)
from sidecar.domain.credits.held_grants import (
    Burn,
    GrantAccount,
    HeldGrant,
    add_part,
    last_burned,
    parts_of,
)
from sidecar.domain.errors import InvalidInput

PAID: Final = GrantKind.PAID
PROMOTIONAL: Final = GrantKind.PROMOTIONAL


def grant(
    name: str = "g",
    amount: int = 100,
    *,
    priority: int = 10,
    kind: GrantKind = PAID,
    start: int = 0,
    end: int = FOREVER_US,
) -> CreditGrant:
    return CreditGrant(name, amount, priority, kind, start, end)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(
            grant(priority=1),
            grant(priority=2, end=50, kind=PROMOTIONAL),
            id="lower priority before everything else",
        ),
        pytest.param(grant(end=50), grant(end=51, kind=PROMOTIONAL), id="expiry before kind"),
        pytest.param(grant(end=50), grant(kind=PROMOTIONAL), id="no expiry is last"),
        pytest.param(
            grant(start=9, kind=PROMOTIONAL), grant(start=1), id="promotional before effective time"
        ),
        pytest.param(
            grant("b", start=1), grant("a", start=2), id="sooner effective time before id"
        ),
        pytest.param(grant("a"), grant("b"), id="id last"),
        pytest.param(grant("g10"), grant("g9"), id="ids as text, not as numbers"),
        pytest.param(grant("Z"), grant("a"), id="ids by code point, not by alphabet"),
        pytest.param(grant("a", 999), grant("b", 1), id="amount does not matter"),
    ],
)
def test_what_burns_first(first: CreditGrant, second: CreditGrant) -> None:
    assert [first, second] == sorted([second, first], key=burn_order)


def test_every_rule_of_the_order_at_once() -> None:
    expected = [
        grant("h", priority=1),
        grant("g", end=50, kind=PROMOTIONAL),
        grant("f", end=50),
        grant("e", end=51),
        grant("d", kind=PROMOTIONAL),
        grant("b", start=1),
        grant("c", start=1),
        grant("a", start=2),
    ]
    for shuffled in list(permutations(expected))[::997]:
        assert expected == sorted(shuffled, key=burn_order)


@pytest.mark.parametrize(
    ("at_us", "in_force", "is_over"),
    [
        pytest.param(9, False, False, id="not before the effective time"),
        pytest.param(10, True, False, id="from the effective time"),
        pytest.param(19, True, False, id="up to the expiry"),
        pytest.param(20, False, True, id="not at the expiry"),
    ],
)
def test_a_grant_can_be_spent(at_us: int, in_force: bool, is_over: bool) -> None:
    held = HeldGrant(grant(start=10, end=20))
    assert (in_force, is_over) == (held.is_in_force(at_us), held.is_over(at_us))
    voided = held.close(10)
    assert (False, True) == (voided.is_in_force(at_us), voided.is_over(at_us))


def test_a_grant_that_never_expires_can_be_spent_at_any_time() -> None:
    assert HeldGrant(grant()).is_in_force(FOREVER_US - 1)


@pytest.mark.parametrize(
    ("held", "at_us", "expected"),
    [
        pytest.param(HeldGrant(grant(end=10)), 9, GrantAccount(100, 0, 0, 0, 0), id="new"),
        pytest.param(HeldGrant(grant(start=10)), 9, GrantAccount(100, 0, 0, 0, 0), id="waiting"),
        pytest.param(
            HeldGrant(grant(end=10), burned=60), 9, GrantAccount(40, 60, 0, 0, 0), id="in use"
        ),
        pytest.param(
            HeldGrant(grant(end=10), burned=60), 10, GrantAccount(0, 60, 40, 0, 0), id="expired"
        ),
        pytest.param(
            HeldGrant(grant(end=10), burned=60).close(9),
            10,
            GrantAccount(0, 60, 0, 40, 0),
            id="voided before it expired",
        ),
        pytest.param(
            HeldGrant(grant(end=10), burned=60).close(10),
            10,
            GrantAccount(0, 60, 40, 0, 0),
            id="voided when it had expired",
        ),
        pytest.param(
            HeldGrant(grant(), burned=60).lose(15), 9, GrantAccount(40, 45, 0, 0, 15), id="lost"
        ),
        pytest.param(
            HeldGrant(grant(), burned=60).restore(15), 9, GrantAccount(55, 45, 0, 0, 0), id="back"
        ),
        pytest.param(HeldGrant(grant()).burn(100), 9, GrantAccount(0, 100, 0, 0, 0), id="spent"),
    ],
)
def test_a_grant_accounts_for_its_amount(
    held: HeldGrant, at_us: int, expected: GrantAccount
) -> None:
    assert expected == held.account(at_us)


@pytest.mark.parametrize(
    ("held", "is_open"),
    [
        pytest.param(HeldGrant(grant()), True, id="something is left"),
        pytest.param(HeldGrant(grant(end=1)), True, id="late usage may come"),
        pytest.param(HeldGrant(grant(), burned=100), False, id="spent"),
        pytest.param(HeldGrant(grant()).close(1), False, id="voided"),
        pytest.param(HeldGrant(grant(end=1)).close(1), False, id="voided when it had expired"),
    ],
)
def test_a_grant_is_open(held: HeldGrant, is_open: bool) -> None:
    assert is_open == held.is_open


@pytest.mark.parametrize(
    ("refunded", "amount", "expected"),
    [
        pytest.param(0, 1, [("c", 1)], id="begins with the last grant burned"),
        pytest.param(0, 6, [("c", 3), ("b", 2), ("a", 1)], id="goes on to the grants before"),
        pytest.param(1, 3, [("c", 2), ("b", 1)], id="goes on where the last refund ended"),
        pytest.param(3, 2, [("b", 2)], id="skips what is refunded in full"),
        pytest.param(5, 4, [("a", 4)], id="to the first grant burned"),
        pytest.param(9, 1, [], id="nothing is left to refund"),
        pytest.param(0, 0, [], id="nothing is asked"),
    ],
)
def test_a_refund_concerns(refunded: int, amount: int, expected: list[tuple[str, int]]) -> None:
    burned = (Burn("a", 4), Burn("b", 2), Burn("c", 3))
    parts = last_burned(burned, refunded, amount)
    assert expected == [(part.grant, part.amount) for part in parts]


@pytest.mark.parametrize(
    ("held", "taken"),
    [
        pytest.param(HeldGrant(grant(), 95), 5, id="what is left"),
        pytest.param(HeldGrant(grant(start=20), 95), 5, id="also before the effective time"),
        pytest.param(HeldGrant(grant(end=11), 95), 5, id="up to the expiry"),
        pytest.param(HeldGrant(grant(end=10), 95), 0, id="nothing at the expiry"),
        pytest.param(HeldGrant(grant(), 100), 0, id="nothing of a spent grant"),
        pytest.param(HeldGrant(grant(), 95).close(9), 0, id="nothing a second time"),
    ],
)
def test_voiding_takes(held: HeldGrant, taken: int) -> None:
    closed = held.close(10)
    assert (True, taken) == (closed.is_voided, closed.voided - held.voided)


@pytest.mark.parametrize(
    ("amount", "expected", "uncovered", "looked_at"),
    [
        pytest.param(0, [], 0, 0, id="nothing"),
        pytest.param(3, [("a", 3)], 0, 1, id="one grant is enough"),
        pytest.param(5, [("a", 5)], 0, 1, id="to its last micro-credit"),
        pytest.param(6, [("a", 5), ("c", 1)], 0, 3, id="goes on past one that has none"),
        pytest.param(12, [("a", 5), ("c", 7)], 0, 3, id="no further than it takes"),
        pytest.param(20, [("a", 5), ("c", 7), ("d", 1)], 7, 4, id="more than there is"),
    ],
)
def test_an_amount_is_in_parts(
    amount: int, expected: list[tuple[str, int]], uncovered: int, looked_at: int
) -> None:
    lefts = [("a", 5), ("b", 0), ("c", 7), ("d", 1)]
    rest = iter(lefts)
    parts, owed = parts_of(amount, rest)
    assert expected == [(part.grant, part.amount) for part in parts]
    assert (uncovered, looked_at) == (owed, len(lefts) - len([*rest]))


def test_parts_of_one_grant_that_follow_each_other_are_one() -> None:
    parts: list[Burn] = []
    for part in (Burn("a", 1), Burn("a", 2), Burn("b", 4), Burn("a", 8)):
        add_part(parts, part)
    assert [Burn("a", 3), Burn("b", 4), Burn("a", 8)] == parts


@pytest.mark.parametrize(
    ("of", "field"),
    [
        (grant(""), "grant.id"),
        (grant("a\nb"), "grant.id"),
        (grant("x" * 129), "grant.id"),
        (grant(amount=0), "grant.amount"),
        (grant(amount=-1), "grant.amount"),
        (grant(amount=INT64_MAX + 1), "grant.amount"),
        (grant(priority=-1), "grant.priority"),
        (grant(priority=PRIORITY_MAX + 1), "grant.priority"),
        (grant(start=-1), "grant.effective_us"),
        (grant(start=10, end=10), "grant.expires_us"),
        (grant(end=FOREVER_US + 1), "grant.expires_us"),
    ],
)
def test_a_grant_that_cannot_be_is_refused(of: CreditGrant, field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        require_grant(of)
    assert field == refused.value.field


@pytest.mark.parametrize(
    "of",
    [
        grant("x" * 128),
        grant(amount=1),
        grant(amount=INT64_MAX),
        grant(priority=0),
        grant(priority=PRIORITY_MAX),
        grant(start=9, end=10),
    ],
)
def test_a_grant_at_its_bounds_is_accepted(of: CreditGrant) -> None:
    require_grant(of)


def test_a_grant_that_has_expired_is_not_to_be_given() -> None:
    require_unexpired(grant(end=10), 9)
    require_unexpired(grant(), FOREVER_US - 1)
    with pytest.raises(InvalidInput) as refused:
        require_unexpired(grant(end=10), 10)
    assert "grant.expires_us" == refused.value.field
