"""Grants of credits: when they can be spent, in which order they burn, what may return to them."""

from __future__ import annotations

from itertools import permutations
from typing import Final

import pytest

from sidecar.domain.bounds import FOREVER_US, INT64_MAX
from sidecar.domain.credits.grants import (
    PRIORITY_MAX,
    Burn,
    CreditGrant,
    GrantKind,
    HeldGrant,
    burn,
    burn_order,
    close,
    give_back,
    last_burned,
    left_at,
    require_grant,
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
    ("at_us", "expected"),
    [
        pytest.param(9, 0, id="not before the effective time"),
        pytest.param(10, 7, id="from the effective time"),
        pytest.param(19, 7, id="up to the expiry"),
        pytest.param(20, 0, id="not at the expiry"),
    ],
)
def test_a_grant_can_be_spent(at_us: int, expected: int) -> None:
    held = (HeldGrant(grant(amount=9, start=10, end=20), 7),)
    assert expected == left_at(held, at_us)
    assert (burn(held, 1, at_us) is not None) == (expected > 0)


def test_a_grant_that_never_expires_can_be_spent_at_any_time() -> None:
    assert 7 == left_at((HeldGrant(grant(), 7),), FOREVER_US - 1)


HELD: Final = (
    HeldGrant(grant("spent", priority=1), 0),
    HeldGrant(grant("expired", priority=2, end=10), 5),
    HeldGrant(grant("first", priority=3), 5),
    HeldGrant(grant("waiting", priority=4, start=30), 5),
    HeldGrant(grant("second", priority=5), 5),
)


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        pytest.param(0, (), id="nothing"),
        pytest.param(5, (Burn("first", 5),), id="one grant is enough"),
        pytest.param(6, (Burn("first", 5), Burn("second", 1)), id="goes on to the next in force"),
        pytest.param(10, (Burn("first", 5), Burn("second", 5)), id="to the last credit"),
        pytest.param(11, None, id="more than there is burns nothing"),
    ],
)
def test_a_debit_burns(amount: int, expected: tuple[Burn, ...] | None) -> None:
    after = burn(HELD, amount, 20)
    if expected is None:
        assert after is None
    else:
        assert after is not None
        grants, burned = after
        taken = {part.grant: part.amount for part in expected}
        assert expected == burned
        assert [h.left - taken.get(h.grant.id, 0) for h in HELD] == [h.left for h in grants]


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
    ("held", "at_us", "returned", "lost"),
    [
        pytest.param(HeldGrant(grant(end=10), 5), 9, True, 0, id="returns before the expiry"),
        pytest.param(HeldGrant(grant(end=10), 5), 10, False, 3, id="is lost at the expiry"),
        pytest.param(HeldGrant(grant(start=10), 5), 9, True, 0, id="returns before it is in force"),
        pytest.param(HeldGrant(grant(), 0, True), 9, False, 3, id="is lost on a voided grant"),
        pytest.param(HeldGrant(grant("other"), 5), 9, False, 3, id="is lost on a forgotten grant"),
    ],
)
def test_what_is_given_back(held: HeldGrant, at_us: int, returned: bool, lost: int) -> None:
    part = Burn("g", 3)
    after = HeldGrant(held.grant, held.left + 3) if returned else held
    expected = ((after,), (part,) if returned else (), lost)
    assert expected == give_back((held,), [part], at_us)


@pytest.mark.parametrize(
    ("held", "taken"),
    [
        pytest.param(HeldGrant(grant(), 5), 5, id="what is left"),
        pytest.param(HeldGrant(grant(start=20), 5), 5, id="also before the effective time"),
        pytest.param(HeldGrant(grant(end=11), 5), 5, id="up to the expiry"),
        pytest.param(HeldGrant(grant(end=10), 5), 0, id="nothing at the expiry"),
        pytest.param(HeldGrant(grant(), 0), 0, id="nothing of a spent grant"),
        pytest.param(HeldGrant(grant(), 0, True), 0, id="nothing a second time"),
    ],
)
def test_voiding_takes(held: HeldGrant, taken: int) -> None:
    assert (HeldGrant(held.grant, 0, voided=True), taken) == close(held, 10)


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
