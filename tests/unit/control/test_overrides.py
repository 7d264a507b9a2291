"""Overrides granted and taken back at the plane; each test is named by its outcome."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from sidecar.control.services import apply, directory
from sidecar.control.services.apply import Desired
from sidecar.control.services.overrides import grant_override, revoke_override
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.bounds import FOREVER_US, INT64_MAX, OVERRIDES_MAX
from sidecar.domain.catalog.model import EntitlementGrant, LimitChange
from sidecar.domain.company.model import Company, Override
from sidecar.domain.company.spans import in_force
from sidecar.domain.company.timeline import HISTORY_US
from sidecar.domain.errors import Conflict, FailedPrecondition, InvalidInput, NotFound
from sidecar.domain.time.units import HOUR_US
from tests.unit.control.support import CATALOG, NOW_US, company, set_up

LATER_US: Final = NOW_US + HOUR_US


def more(amount: int | None = 100, name: str = "ever", *, adds: bool = True) -> EntitlementGrant:
    return EntitlementGrant("tokens", limit_changes=(LimitChange(name, amount, adds),))


def override(
    grant: EntitlementGrant | None = None, expires_us: int = FOREVER_US, id_: str = ""
) -> Override:
    content = msgspec.structs.replace(grant or more(), id=id_)
    return Override(content, expires_us, "promised")


def held(store: PlaneStore) -> tuple[Override, ...]:
    return directory.get_company(store, "acme").company.overrides


def told(store: PlaneStore, at_us: int) -> tuple[EntitlementGrant, ...]:
    """What sidecars are told to be in force."""
    return in_force(directory.get_company(store, "acme").snapshot.overrides, at_us)


def test_what_is_granted_holds_from_now_on_until_it_expires(store: PlaneStore) -> None:
    set_up(store, "acme")
    done = grant_override(store, "acme", override(expires_us=LATER_US), NOW_US)
    assert (2, "promised") == (done.revision, done.override.reason)
    assert NOW_US == done.override.granted_us
    assert (done.override,) == held(store) == done.company.overrides
    assert (done.override.entitlement,) == told(store, NOW_US) == told(store, LATER_US - 1)
    assert () == told(store, NOW_US - 1) == told(store, LATER_US)


def test_several_of_a_feature_hold_at_once_and_their_ids_ascend(store: PlaneStore) -> None:
    set_up(store, "acme")
    ids = [
        grant_override(store, "acme", override(), NOW_US + at // 2).override.entitlement.id
        for at in range(6)
    ]
    assert ids == sorted(set(ids))
    assert ids == [grant.id for grant in told(store, LATER_US)]


def test_what_is_revoked_holds_no_more_and_others_stay(store: PlaneStore) -> None:
    set_up(store, "acme")
    first = grant_override(store, "acme", override(), NOW_US).override
    second = grant_override(store, "acme", override(), NOW_US).override
    done = revoke_override(store, "acme", first.entitlement.id, LATER_US)
    assert (first, (second,)) == (done.override, held(store))
    assert (second.entitlement,) == told(store, LATER_US)
    assert (first.entitlement, second.entitlement) == told(store, LATER_US - 1)


def test_the_same_call_again_grants_nothing_more(store: PlaneStore) -> None:
    set_up(store, "acme")
    first = grant_override(store, "acme", override(id_="ticket-7"), NOW_US)
    again = grant_override(store, "acme", override(id_="ticket-7"), LATER_US)
    assert first == again
    with pytest.raises(Conflict) as caught:
        grant_override(store, "acme", override(more(200), id_="ticket-7"), LATER_US)
    assert "entitlement.id" == caught.value.field


def test_a_dry_run_grants_nothing(store: PlaneStore) -> None:
    set_up(store, "acme")
    done = grant_override(store, "acme", override(), NOW_US, dry_run=True)
    assert (1, ()) == (done.revision, held(store))
    assert more() == msgspec.structs.replace(done.override.entitlement, id="")


@pytest.mark.parametrize(
    ("grant", "field", "message"),
    [
        pytest.param(
            more(name="evr"),
            "entitlement.limit_changes[0]",
            "there is no limit 'evr' of 'tokens' to change, but 'ever', 'daily'; "
            "did you mean 'ever'?",
            id="a limit that there is not",
        ),
        pytest.param(
            EntitlementGrant("calls", limit_changes=(LimitChange("ever", 1),)),
            "entitlement.limit_changes[0]",
            "'calls' is not granted, so there is no limit 'ever' to change",
            id="a feature that is not granted",
        ),
        pytest.param(
            EntitlementGrant("sso", limit_changes=(LimitChange("ever", 1),)),
            "entitlement.limits",
            "only METERED, CREDITS, SEATS and LEVEL features have limits, 'sso' is BOOLEAN",
            id="a feature of another kind",
        ),
        pytest.param(
            EntitlementGrant("tokns"),
            "entitlement.feature",
            "the catalog has no feature 'tokns'; did you mean 'tokens'?",
            id="a feature that there is not",
        ),
        pytest.param(
            more(-1),
            "entitlement.limit_changes[0].amount",
            f"must be 0 to {INT64_MAX}, is -1",
            id="less than nothing",
        ),
    ],
)
def test_what_cannot_be_granted_is_refused_with_its_field(
    store: PlaneStore, grant: EntitlementGrant, field: str, message: str
) -> None:
    set_up(store, "acme")
    with pytest.raises(InvalidInput) as caught:
        grant_override(store, "acme", override(grant), NOW_US)
    assert (field, message) == (caught.value.field, caught.value.message)
    assert () == held(store)


def test_what_another_override_grants_can_be_changed(store: PlaneStore) -> None:
    set_up(store, "acme")
    calls = EntitlementGrant("calls", limits=CATALOG.plans[0].entitlements[1].limits)
    grant_override(store, "acme", override(calls), NOW_US)
    change = EntitlementGrant("calls", limit_changes=(LimitChange("ever", 1),))
    assert 3 == grant_override(store, "acme", override(change), NOW_US).revision


@pytest.mark.parametrize("expires_us", [NOW_US, NOW_US - 1])
def test_what_is_over_already_is_refused(store: PlaneStore, expires_us: int) -> None:
    set_up(store, "acme")
    with pytest.raises(InvalidInput) as caught:
        grant_override(store, "acme", override(expires_us=expires_us), NOW_US)
    assert "expires_at" == caught.value.field


def test_what_is_unknown_is_not_found(store: PlaneStore) -> None:
    set_up(store, "acme")
    with pytest.raises(NotFound):
        grant_override(store, "none", override(), NOW_US)
    for name in ("none", "acme"):
        with pytest.raises(NotFound):
            revoke_override(store, name, "x", NOW_US)


def test_a_company_has_room_for_so_many_and_what_ended_long_ago_makes_room(
    store: PlaneStore,
) -> None:
    set_up(store)
    full = tuple(
        Override(msgspec.structs.replace(more(), id=f"{at:04}"), NOW_US + 1, "", NOW_US)
        for at in range(OVERRIDES_MAX)
    )
    apply.apply(store, Desired(CATALOG, (with_overrides(*full),)), NOW_US)
    with pytest.raises(FailedPrecondition) as caught:
        grant_override(store, "acme", override(), NOW_US)
    assert "has 1000 overrides, revoke some" in caught.value.message
    late_us = NOW_US + 1 + HISTORY_US
    done = grant_override(store, "acme", override(), late_us)
    assert (done.override,) == held(store)


def with_overrides(*overrides: Override) -> Company:
    return msgspec.structs.replace(company("acme"), overrides=overrides)


def test_a_file_leaves_what_was_granted_by_calls(store: PlaneStore) -> None:
    set_up(store, "acme")
    granted = grant_override(store, "acme", override(), NOW_US).override
    assert 0 == apply.apply(store, Desired(CATALOG, (company("acme"),)), LATER_US).changed
    own = override(more(5, adds=False))
    done = apply.apply(store, Desired(CATALOG, (with_overrides(own),)), LATER_US)
    assert (1, (own, granted)) == (done.changed, held(store))
    assert 1 == apply.apply(store, Desired(CATALOG, (company("acme"),)), LATER_US).changed
    assert (granted,) == held(store)
