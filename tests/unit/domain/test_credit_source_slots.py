"""What grants and debts are called as counters."""

from __future__ import annotations

import pytest

from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.credits.grants import CreditGrant, GrantKind
from sidecar.domain.credits.source_slots import (
    OVERDRAFT_COUNTER,
    counter_of_grant,
    grant_in,
    grant_slot,
    is_of_balance,
)
from sidecar.domain.limits.counters import generation_in, window_in
from sidecar.domain.time.windows import LIFETIME_WINDOW, Window


@pytest.mark.parametrize("id_", ["welcome", "a|b", "50%", "x=1,y/2", "1773576000000000"])
def test_a_grants_slot_names_it_alone(id_: str) -> None:
    slot = grant_slot(id_)

    assert grant_in(slot) == id_
    assert is_of_balance(slot)
    assert slot.count("|") == 1
    assert (generation_in(slot), window_in(slot)) == (0, None)


@pytest.mark.parametrize("slot", ["LIFETIME||", "MONTH/1/CALENDAR||", "MONTH/1/ANCHORED|user|"])
def test_a_limits_slot_is_no_grants(slot: str) -> None:
    assert grant_in(slot) is None
    assert not is_of_balance(slot)


def test_a_grant_counts_while_it_can_be_spent() -> None:
    grant = CreditGrant("welcome", 5, 0, GrantKind.PROMOTIONAL, 10, 20)

    assert counter_of_grant(grant).window == Window(10, 20)
    assert not counter_of_grant(grant).window.never_ends


def test_what_never_expires_and_what_is_owed_never_end() -> None:
    grant = CreditGrant("welcome", 5, 0, GrantKind.PAID, 10, FOREVER_US)

    assert counter_of_grant(grant).window.never_ends
    assert OVERDRAFT_COUNTER.window == LIFETIME_WINDOW
    assert is_of_balance(OVERDRAFT_COUNTER.slot)
