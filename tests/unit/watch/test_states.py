"""Reading the states of a watched company: which features, which limits, and until when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import pytest

from sidecar.directory.directory import Directory
from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Rate,
    RateLimit,
)
from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    Override,
    Pause,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.domain.entitlement.resolve import Entitlement
from sidecar.domain.errors import NotFound
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.limits.requests import NO_ATTRIBUTES
from sidecar.domain.slices import whole
from sidecar.domain.time.units import DAY_US, HOUR_US
from sidecar.engine.plane_status import PlaneStatus
from sidecar.storage.snapshots import SnapshotChanges
from sidecar.watch.events import FeatureState
from sidecar.watch.states import FEATURES_MAX, CompanyState, StateReader, Subject
from tests.support.build import (
    DAY,
    HARD,
    MIDNIGHT_US,
    NOW_US,
    catalog,
    catalog_snapshot,
    company,
    counter_ref,
    limit,
    metered,
    usage,
)
from tests.support.stores import MemoryDisk, OpenedStore

CALLS: Final = Feature("calls", FeatureKind.METERED)
MARCH: Final = usage(limit()).window

BY_USER: Final = limit("by_user", 5, HARD, DAY, each=["user"])
LARGE: Final = limit("large", 5, HARD, DAY, match={"model": "large"})
FAST: Final = RateLimit("fast", Rate(10, HOUR_US, 10))
CONTENT: Final = msgspec.structs.replace(
    catalog(
        {
            "basic": [
                EntitlementGrant("calls", limits=(limit(), BY_USER, LARGE), rates=(FAST,)),
                EntitlementGrant("days", config_value="30"),
                EntitlementGrant("off", enabled=False),
                EntitlementGrant("sso", enabled=True),
            ],
            "pro": [metered("calls", limit("monthly", 1000)), metered("tokens", limit())],
        },
        {"days": FeatureKind.CONFIG, "off": FeatureKind.BOOLEAN, "sso": FeatureKind.BOOLEAN},
    ),
    add_ons=(
        AddOn("exports", entitlements=(AddOnEntitlement(EntitlementGrant("tokens")),)),
        AddOn("unused", entitlements=(AddOnEntitlement(EntitlementGrant("off", enabled=True)),)),
    ),
)


class Known:
    """A catalog and companies in a store in memory, and what is read of them."""

    def __init__(self, content: Catalog = CONTENT, *companies: Company) -> None:
        self.opened = OpenedStore(MemoryDisk())
        self.directory = Directory(self.opened.snapshots, 10)
        self.reader = StateReader(self.opened.store, self.directory, PlaneStatus(authority=False))
        self.directory.apply(SnapshotChanges(catalog_snapshot(content)))
        self.apply(*(companies or [company()]))

    def apply(self, *companies: Company, version: int = 1) -> None:
        compiled = [compile_snapshot(company, version) for company in companies]
        self.directory.apply(SnapshotChanges(companies=compiled))

    def states(
        self,
        *features: str,
        of: str = "acme",
        now_us: int = NOW_US,
        told: tuple[str, ...] = (),
        touched: set[str] | None = None,
        dimensions: Mapping[str, str] = NO_ATTRIBUTES,
    ) -> list[FeatureState]:
        subject = Subject(of, features, dimensions)
        return whole(self.reader.read(subject, told, touched, now_us)).features

    def keys(self, **fields: Any) -> list[str]:
        return [state.feature for state in self.states(**fields)]


def used(state: FeatureState) -> dict[str, tuple[int, tuple[str, ...]]]:
    """Usage of each limit, and the values that it was counted for."""
    return {limit.usage.limit.id: (limit.usage.used, limit.usage.values) for limit in state.limits}


def test_without_features_all_that_the_company_is_entitled_to_are_watched() -> None:
    calls, days, sso = Known().states()
    assert ["calls", "days", "sso"] == [calls.feature, days.feature, sso.feature]
    assert ["30"] == [state.entitlement.config_value for state in (days,) if state.entitlement]
    assert (SubscriptionStatus.ACTIVE, "basic") == (calls.status, calls.plan)


def test_an_add_on_and_an_override_are_watched_too() -> None:
    bought = Subscription("basic", NOW_US, add_ons=(AddOnSubscription("exports"),))
    given = Override(EntitlementGrant("off", enabled=True))
    known = Known(CONTENT, Company("acme", subscription=bought, overrides=(given,)))
    assert ["calls", "days", "off", "sso", "tokens"] == known.keys()


def test_what_a_company_becomes_entitled_to_joins_and_what_it_loses_stays() -> None:
    known = Known()
    known.apply(company(plan="pro"), version=2)
    assert ["sso", "days", "calls", "tokens"] == known.keys(told=("sso", "days", "calls"))


def test_at_most_a_hundred_features_are_watched() -> None:
    names = [f"f{n:03}" for n in range(120)]
    known = Known(catalog({"basic": [metered(name) for name in names]}))
    assert names[:FEATURES_MAX] == known.keys()
    held = tuple(reversed(names[20:]))
    assert list(held) == known.keys(told=held)


def test_given_features_are_watched_in_their_order_and_once() -> None:
    states = Known().states("sso", "off", "sso", "calls")
    assert ["sso", "off", "calls"] == [state.feature for state in states]
    assert [True, False, True] == [
        state.entitlement.entitled for state in states if state.entitlement
    ]


def test_touched_features_alone_are_read() -> None:
    assert ["sso"] == [state.feature for state in Known().states("calls", "sso", touched={"sso"})]


def test_limits_apply_as_the_dimensions_say() -> None:
    known = Known()
    known.opened.count(3, counter_ref(BY_USER, ("ann",)))
    known.opened.count(2)
    (nobody,), (ann,), (large,) = (
        known.states("calls", dimensions=dimensions)
        for dimensions in (NO_ATTRIBUTES, {"user": "ann", "model": "small"}, {"model": "large"})
    )
    assert {"monthly": (2, ())} == used(nobody)
    assert {"monthly": (2, ()), "by_user": (3, ("ann",))} == used(ann)
    assert {"monthly": (2, ()), "large": (0, ())} == used(large)
    assert ["fast"] == [rate.limit.id for rate in nobody.rates]


def test_time_alone_changes_it_at_the_end_of_a_window_or_of_a_segment() -> None:
    trial = Company("trial", subscription=Subscription("basic", NOW_US, NOW_US + HOUR_US))
    known = Known(CONTENT, company(), trial)
    assert MARCH.end_us == known.states("calls")[0].until_us
    ann = {"user": "ann"}
    assert MIDNIGHT_US + DAY_US == known.states("calls", dimensions=ann)[0].until_us
    assert FOREVER_US == known.states("sso")[0].until_us
    ends = [
        whole(known.reader.read(Subject(name), (), None, NOW_US)).until_us
        for name in ("acme", "trial", "nobody")
    ]
    assert [FOREVER_US, NOW_US + HOUR_US, FOREVER_US] == ends


def test_a_pause_leaves_the_limits_to_be_seen() -> None:
    paused = Subscription("basic", NOW_US, pause=Pause(MIDNIGHT_US))
    (calls,) = Known(CONTENT, Company("acme", subscription=paused)).states("calls")
    assert calls.entitlement is not None
    assert Reason.SUBSCRIPTION_PAUSED is calls.entitlement.reason
    assert {"monthly": (0, ())} == used(calls)


def test_the_generation_of_each_limit_is_that_of_its_counter() -> None:
    known = Known()
    snapshot = compile_snapshot(company(), 2)
    phase = msgspec.structs.replace(snapshot.phases[0], generation=5, anchored_generation=7)
    again = msgspec.structs.replace(snapshot, phases=(phase,))
    known.directory.apply(SnapshotChanges(companies=[again]))
    known.opened.count(2)  # on generation 0
    (calls,) = known.states("calls")
    assert [(5, 0)] == [(limit.generation, limit.usage.used) for limit in calls.limits]


def test_an_unknown_company_has_no_rights_and_nothing_to_watch_by_itself() -> None:
    known = Known()
    (calls,) = known.states("calls", of="nobody")
    assert Entitlement(CALLS, Reason.UNKNOWN_COMPANY) == calls.entitlement
    assert [] == known.states(of="nobody")


def test_an_unknown_company_has_the_default_plan_once_it_is_known_to_be_absent() -> None:
    known = Known(msgspec.structs.replace(CONTENT, default_plan="pro"))
    assert [] == known.states(of="nobody")
    known.directory.remember_absent(["nobody"], NOW_US, 1)
    calls, tokens = known.states(of="nobody")
    assert ("pro", "tokens", {"monthly": (0, ())}) == (calls.plan, tokens.feature, used(tokens))


def test_a_feature_that_the_catalog_loses_has_no_entitlement() -> None:
    known = Known()
    assert [FeatureState("gone")] == known.states("gone", of="nobody")
    (gone,) = known.states("gone")
    assert (None, "basic") == (gone.entitlement, gone.plan)


def test_an_unknown_feature_is_named_by_its_place() -> None:
    known = Known()
    known.reader.require_features(Subject("nobody", ("calls", "off")))
    with pytest.raises(NotFound) as caught:
        known.reader.require_features(Subject("acme", ("calls", "other")))
    assert ("features[1]", "UNKNOWN_FEATURE") == (caught.value.field, caught.value.reason)


def test_without_a_catalog_every_feature_may_be_watched() -> None:
    opened = OpenedStore(MemoryDisk())
    directory = Directory(opened.snapshots, 10)
    reader = StateReader(opened.store, directory, PlaneStatus(authority=False))
    subject = Subject("acme", ("calls",))
    reader.require_features(subject)
    known = CompanyState([FeatureState("calls")], "acme")
    assert known == whole(reader.read(subject, (), None, NOW_US))
