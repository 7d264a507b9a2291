"""Credits that a company is granted one by one, and voids of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from sidecar.control.services import apply, renames
from sidecar.control.services.apply import Desired
from sidecar.control.services.credit_accounts import SourceAccount
from sidecar.control.storage.credit_values import StoredGrant
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.sqlite import SqliteStore
from sidecar.domain.bounds import CREDIT_GRANTS_MAX, FOREVER_US, INT64_MAX
from sidecar.domain.catalog.model import Catalog, Plan
from sidecar.domain.company.timeline import HISTORY_US
from sidecar.domain.credits.grants import CreditGrant, GrantKind
from sidecar.domain.errors import (
    Conflict,
    FailedPrecondition,
    FieldError,
    InvalidInput,
    NotFound,
    OutOfRange,
)
from sidecar.domain.leases.model import LeaseStatus
from sidecar.domain.time.units import DAY_US, HOUR_US, MINUTE_US
from tests.unit.control.credit_plane import CATALOG, CreditPlane, counter, grant
from tests.unit.control.leasing_plane import told
from tests.unit.control.support import ALICE, BOB, NOW_US, company

WELCOME = grant()
PAID = GrantKind.PAID


@pytest.fixture
def plane(store: PlaneStore) -> CreditPlane:
    return CreditPlane(store)


def test_a_grant_is_told_to_sidecars_as_a_change_of_the_company(plane: CreditPlane) -> None:
    before = plane.revision()

    done = plane.grant(WELCOME)

    assert done.changed
    assert done.revision == before + 1 == plane.revision()
    assert plane.told() == ["welcome"]
    assert done.account == SourceAccount(1_000, left=1_000)
    with plane.store.read() as transaction:
        changes, _ = transaction.company_changes(before, "", 9, 1 << 20)
    assert [change.id for change in changes] == ["acme"]


def test_the_same_grant_again_changes_nothing(plane: CreditPlane) -> None:
    plane.grant(WELCOME, starts_now=True)
    plane.now_us += HOUR_US
    before = plane.revision()

    done = plane.grant(replace(WELCOME, effective_us=0), starts_now=True)

    assert not done.changed
    assert done.stored.grant == WELCOME
    assert plane.revision() == before


@pytest.mark.parametrize(
    "other",
    [
        grant(amount=1),
        grant(priority=1),
        grant(kind=PAID),
        grant(expires_us=NOW_US + DAY_US),
        grant(effective_us=NOW_US + 1),
    ],
)
def test_another_grant_under_the_same_id_is_a_conflict(
    plane: CreditPlane, other: CreditGrant
) -> None:
    plane.grant(WELCOME)
    before = plane.revision()

    with pytest.raises(Conflict) as refused:
        plane.grant(other)

    assert (refused.value.field, refused.value.reason) == ("grant.id", "ALREADY_EXISTS")
    assert plane.revision() == before
    assert list(plane.accounts().values()) == [SourceAccount(1_000, left=1_000)]


def test_an_id_is_one_grants_over_all_features(plane: CreditPlane) -> None:
    plane.grant(WELCOME)

    with pytest.raises(Conflict):
        plane.grant(WELCOME, feature="more")


def test_the_plane_makes_ids_that_grow(plane: CreditPlane) -> None:
    ids = [plane.grant(grant(""), starts_now=True).stored.grant.id for _ in range(3)]

    assert ids == sorted(set(ids))
    assert sorted(plane.accounts()) == ids


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (grant(amount=0), "grant.amount"),
        (grant(amount=-5), "grant.amount"),
        (grant(amount=INT64_MAX + 1), "grant.amount"),
        (grant(priority=-1), "grant.priority"),
        (grant("a\nb"), "grant.id"),
        (grant("overdraft"), "grant.id"),
        (grant("nothing"), "grant.id"),  # a limit of the company's plan
        (grant("daily"), "grant.id"),  # one of another plan, to which it may change
        (grant(expires_us=NOW_US), "grant.expires_us"),
        (grant(effective_us=NOW_US + 9, expires_us=NOW_US + 9), "grant.expires_us"),
    ],
)
def test_what_cannot_be_granted_is_refused_and_nothing_moves(
    plane: CreditPlane, wrong: CreditGrant, field: str
) -> None:
    before = plane.revision()

    with pytest.raises(InvalidInput) as refused:
        plane.grant(wrong)

    assert refused.value.field == field
    assert plane.revision() == before
    assert plane.accounts() == {}


@pytest.mark.parametrize(
    ("name", "feature", "kind", "field"),
    [
        ("nobody", "credits", NotFound, "company"),
        ("acme", "credit", NotFound, "feature"),
        ("acme", "tokens", InvalidInput, "feature"),
    ],
)
def test_credits_are_granted_to_companies_on_features_of_credits(
    plane: CreditPlane, name: str, feature: str, kind: type[FieldError], field: str
) -> None:
    with pytest.raises(kind) as refused:
        plane.grant(WELCOME, name=name, feature=feature)

    assert refused.value.field == field


def test_a_dry_run_grants_and_voids_nothing(plane: CreditPlane) -> None:
    assert plane.grant(WELCOME, dry_run=True).changed
    assert plane.accounts() == {}
    plane.grant(WELCOME)

    assert plane.void(dry_run=True).account.voided == 1_000

    assert plane.accounts()["welcome"].voided == 0
    assert plane.told() == ["welcome"]


def test_grants_come_in_the_order_in_which_they_burn(plane: CreditPlane) -> None:
    soon = NOW_US + DAY_US
    for given in (grant("paid", kind=PAID), grant("last", priority=1), WELCOME):
        plane.grant(given)
    plane.grant(grant("soon", expires_us=soon))
    plane.grant(grant("other"), feature="more")

    assert plane.told() == ["soon", "welcome", "paid", "last", "other"]
    assert list(plane.accounts()) == plane.told()


def test_there_is_never_more_than_int64_holds(plane: CreditPlane) -> None:
    plane.grant(grant("most", INT64_MAX))
    with pytest.raises(OutOfRange) as refused:
        plane.grant(grant("more", 1))
    assert refused.value.field == "grant.amount"
    plane.grant(grant("elsewhere", INT64_MAX), feature="more")

    plane.burn(counter(grant("most", INT64_MAX)), 5)
    plane.grant(grant("more", 5))

    assert plane.balance().balance == INT64_MAX


def test_a_company_has_so_many_grants_that_can_be_spent(plane: CreditPlane) -> None:
    given = [grant(f"g{at}", 2) for at in range(CREDIT_GRANTS_MAX)]
    with plane.store.write() as transaction:
        transaction.put_credit_grants(
            StoredGrant("acme", "credits", each, NOW_US) for each in given
        )
    with pytest.raises(FailedPrecondition) as refused:
        plane.grant(WELCOME)
    assert refused.value.field == "company"
    assert plane.told() == []

    plane.burn(counter(given[0]), 2)
    plane.void("g1")
    plane.grant(WELCOME)
    plane.grant(grant("another"))

    assert len(plane.told()) == CREDIT_GRANTS_MAX
    assert "g0" not in plane.told()


def test_what_sidecars_burned_and_hold_is_told(plane: CreditPlane) -> None:
    plane.grant(WELCOME)
    assert told(plane.lease(counter(WELCOME), 100)) == (LeaseStatus.GRANTED, 100)

    plane.burn(counter(WELCOME), 30)

    account = plane.accounts()["welcome"]
    assert account == SourceAccount(1_000, burned=30, leased=70, left=900)
    assert plane.balance().balance == 970


def test_a_grant_is_never_leased_past_its_amount_by_anybody(plane: CreditPlane) -> None:
    plane.grant(grant(amount=150))
    few = counter(grant(amount=150))
    assert plane.lease(few, 100).status is LeaseStatus.GRANTED

    result = plane.lease(few, 51, who=BOB)

    assert result.status is not LeaseStatus.GRANTED
    assert plane.lease(few, 50, who=BOB).granted == 50


def test_a_lease_never_outlives_its_grant(plane: CreditPlane) -> None:
    ends_us = NOW_US + DAY_US
    given = grant(expires_us=ends_us)
    plane.grant(given)

    assert plane.lease(counter(given), 10).valid_until_us == ends_us

    plane.now_us = ends_us + MINUTE_US
    late = plane.lease(counter(given), 10, who=BOB)
    assert (late.status, late.valid_until_us) == (LeaseStatus.GRANTED, ends_us)
    plane.now_us = ends_us + 36 * DAY_US
    assert plane.lease(counter(given), 10, who=BOB).status is LeaseStatus.GONE


def test_a_grant_is_leased_shortly_before_it_starts(plane: CreditPlane) -> None:
    later = grant(effective_us=NOW_US + HOUR_US)
    plane.grant(later)
    assert plane.lease(counter(later), 10).status is LeaseStatus.GONE

    plane.now_us += HOUR_US - MINUTE_US

    assert plane.lease(counter(later), 10).status is LeaseStatus.GRANTED
    assert plane.balance().balance == 0
    assert plane.balance().upcoming == 1_000


def test_grants_on_one_balance_are_leased_apart(plane: CreditPlane) -> None:
    plane.grant(WELCOME)
    plane.grant(grant("other", 50))
    plane.lease(counter(WELCOME), 500)

    assert plane.lease(counter(grant("other", 50)), 50).status is LeaseStatus.GRANTED


def test_a_void_takes_what_is_left_and_is_complete_once_nothing_is_leased(
    plane: CreditPlane,
) -> None:
    plane.grant(WELCOME)
    plane.lease(counter(WELCOME), 100)
    plane.burn(counter(WELCOME), 10)

    done = plane.void()

    assert done.changed
    assert plane.told() == []
    assert [who for who, _ in done.holders] == [ALICE]
    assert done.account == SourceAccount(1_000, burned=10, leased=90, voided=900)
    assert plane.lease(counter(WELCOME), 1, who=BOB).status is LeaseStatus.GONE
    plane.burn(counter(WELCOME), 5)
    plane.give_back(counter(WELCOME), 15)
    again = plane.void()
    assert not again.changed
    assert again.account == SourceAccount(1_000, burned=15, voided=985)


def test_a_void_takes_nothing_of_what_had_expired(plane: CreditPlane) -> None:
    plane.grant(grant(expires_us=NOW_US + 5))
    plane.now_us += 5

    plane.void()

    assert plane.accounts()["welcome"] == SourceAccount(1_000, expired=1_000)


def test_what_is_unknown_cannot_be_voided(plane: CreditPlane) -> None:
    with pytest.raises(NotFound) as refused:
        plane.void("nothing")

    assert refused.value.field == "id"


def test_a_void_grant_stays_so_whoever_grants_it_again(plane: CreditPlane) -> None:
    plane.grant(WELCOME)
    plane.void()

    assert not plane.grant(WELCOME).changed
    assert plane.told() == []
    assert list(plane.accounts(with_over=False)) == []


def test_what_is_over_for_long_is_told_no_more(plane: CreditPlane) -> None:
    plane.grant(grant("old", expires_us=NOW_US + 5))
    plane.now_us += HISTORY_US
    plane.grant(replace(WELCOME, effective_us=plane.now_us))
    assert plane.told() == ["old", "welcome"]

    plane.now_us += 5
    plane.grant(grant("new", effective_us=plane.now_us))

    assert plane.told() == ["welcome", "new"]
    assert plane.accounts()["old"].expired == 1_000


def test_grants_stay_through_applies_renames_and_removals(plane: CreditPlane) -> None:
    plane.grant(WELCOME)
    apply.apply(plane.store, Desired(CATALOG, (company("acme", "pro"),)), NOW_US + 1)
    assert plane.told() == ["welcome"]
    renames.rename_company(plane.store, "acme", "acme-2")
    assert plane.told() == ["welcome"]
    plane.grant(grant("other"), name="acme-2")

    apply.apply(plane.store, Desired(None, (), ("acme-2",)), NOW_US + 2)
    assert sorted(plane.accounts()) == ["other", "welcome"]
    with pytest.raises(NotFound):
        plane.grant(grant("third"))
    apply.apply(plane.store, Desired(None, (company("acme-2"),)), NOW_US + 3)

    assert plane.told() == ["other", "welcome"]


def test_grants_are_there_when_the_database_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "plane.db"
    store = SqliteStore(path)
    CreditPlane(store).grant(grant(expires_us=FOREVER_US))
    store.close()

    store = SqliteStore(path)
    with store.read() as transaction:
        (given,) = transaction.snapshots(["acme"])["acme"].credit_grants
    store.close()

    assert given.grant == WELCOME


def test_a_feature_that_goes_while_it_has_grants_is_warned_of(plane: CreditPlane) -> None:
    plane.grant(WELCOME)
    plane.grant(grant("other"))
    without = Catalog(CATALOG.features[1:], (Plan("bare", ""),))

    applied = apply.apply(plane.store, Desired(without), NOW_US + 1)

    found = [message for path, message in applied.warnings if path == ("catalog", "features")]
    assert found == [
        "'credits' is no feature of credits any more: nothing burns 2 grants of its credits"
    ]
