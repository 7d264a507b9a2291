"""Leases of the default plan's limits, for companies that the plane does not have."""

from __future__ import annotations

from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.services import apply
from sidecar.control.services.apply import Desired
from sidecar.control.services.filling_walk import FillingWalker
from sidecar.control.services.lease_holders import LeasesWanted, list_leases
from sidecar.control.services.renames import rename_company
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.catalog.model import (
    Across,
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Plan,
    Scope,
)
from sidecar.domain.company.model import Company
from sidecar.domain.errors import Conflict
from sidecar.domain.leases.model import LeaseResult, LeaseStatus
from sidecar.domain.limits.counters import CounterRef, slot_of
from sidecar.domain.time.units import DAY_US, HOUR_US
from sidecar.domain.time.windows import Window, WindowSpec, WindowUnit
from tests.support.tables import contents
from tests.unit.control.leasing_plane import DAILY, Plane, day, told
from tests.unit.control.support import (
    ALICE,
    BOB,
    NOW_US,
    TODAY,
    Writer,
    company,
    per_user,
    record,
)

GRANTED, EXHAUSTED, RECALLING, GONE = list(LeaseStatus)[:4]
NAME: Final = "stranger"
HOURLY: Final = replace(DAILY, window=WindowSpec(WindowUnit.HOUR))
HOUR_START_US: Final = NOW_US - NOW_US % HOUR_US
HOUR: Final = CounterRef(slot_of(HOURLY), (), Window(HOUR_START_US, HOUR_START_US + HOUR_US))


def sold(free: Limit, pro: Limit = DAILY, default_plan: str = "free") -> Catalog:
    plans = [
        Plan(key, "", (EntitlementGrant("tokens", limits=(limit,)),))
        for key, limit in (("free", free), ("pro", pro))
    ]
    features = (Feature("tokens", FeatureKind.METERED),)
    return Catalog(features, tuple(plans), default_plan=default_plan)


def sell(
    plane: Plane, free: Limit = DAILY, *companies: Company, default_plan: str = "free"
) -> None:
    content = sold(free, default_plan=default_plan)
    apply.apply(plane.store, Desired(content, companies), plane.now_us)
    plane.fill()


def ask(
    plane: Plane, need: int, counter: CounterRef | None = None, *, held: int = 0, who: str = ALICE
) -> LeaseResult:
    return plane.ask(counter or day(), need, held=held, used=held, who=who, name=NAME)


def counted(quantity: int, counter: CounterRef) -> bytes:
    """A record of a sidecar for which the default plan stood in."""
    message = sync_pb2.UsageRecord.FromString(record(quantity, name=NAME, counters=(counter,)))
    message.unattributed = True
    return message.SerializeToString(deterministic=True)


def push(plane: Plane, quantity: int, counter: CounterRef, who: str = ALICE) -> None:
    """Have a sidecar for which the default plan stood in tell what it counted."""
    writer = Writer(who)
    writer.write(counted(quantity, counter))
    writer.push(plane.store)


@pytest.fixture
def plane(store: PlaneStore) -> Plane:
    plane = Plane(store)
    sell(plane)
    return plane


def test_together_sidecars_are_granted_the_limit_and_no_more(plane: Plane) -> None:
    assert (GRANTED, 60) == told(ask(plane, 60))
    assert (RECALLING, 0) == told(ask(plane, 41, who=BOB))
    assert (GRANTED, 40) == told(ask(plane, 40, who=BOB))
    push(plane, 60, day())
    assert (RECALLING, 60) == told(ask(plane, 1, held=60))
    push(plane, 40, day(), BOB)
    assert (EXHAUSTED, 60) == told(ask(plane, 1, held=60))


def test_each_company_has_the_limit_for_itself(plane: Plane) -> None:
    assert (GRANTED, 100) == told(ask(plane, 100))
    assert (GRANTED, 100) == told(plane.ask(day(), 100, name="another"))


def test_each_user_has_the_limit_for_itself(plane: Plane) -> None:
    sell(plane, replace(DAILY, scope=Scope(("user",))))
    assert (GRANTED, 100) == told(ask(plane, 100, per_user("ann")))
    assert (GRANTED, 100) == told(ask(plane, 100, per_user("bob")))
    assert EXHAUSTED is ask(plane, 101, per_user("eve")).status


def test_windows_begin_at_midnight_utc(plane: Plane) -> None:
    assert TODAY.end_us == ask(plane, 1).valid_until_us
    elsewhere = Window(TODAY.start_us + HOUR_US, TODAY.end_us + HOUR_US)
    assert GONE is ask(plane, 1, day(elsewhere)).status


NOT_LEASED: Final = {
    "no default plan": (DAILY, ""),
    "an eventual limit": (replace(DAILY, across=Across.EVENTUAL), "free"),
    "an unlimited one": (replace(DAILY, amount=None), "free"),
}


@pytest.mark.parametrize(("limit", "default_plan"), NOT_LEASED.values(), ids=NOT_LEASED)
def test_what_is_not_leased_leaves_nothing_behind(
    plane: Plane, limit: Limit, default_plan: str
) -> None:
    sell(plane, limit, default_plan=default_plan)
    before = contents(plane.store)["lease"]
    assert GONE is ask(plane, 1).status
    assert before == contents(plane.store)["lease"]


def test_a_lower_limit_of_the_plan_has_holders_give_back_first(plane: Plane) -> None:
    ask(plane, 60)
    sell(plane, replace(DAILY, amount=50))
    assert (RECALLING, 60) == told(plane.ask(day(), 1, held=60, name=NAME))
    assert (GRANTED, 50) == told(plane.ask(day(), 50, name=NAME))


def test_where_another_plan_is_the_default_one_its_limit_holds(plane: Plane) -> None:
    ask(plane, 60)
    content = sold(DAILY, replace(DAILY, amount=70), default_plan="pro")
    apply.apply(plane.store, Desired(content), NOW_US)
    assert EXHAUSTED is ask(plane, 71, who=BOB).status
    assert (GRANTED, 10) == told(ask(plane, 10, who=BOB))


def test_without_a_default_plan_any_more_what_is_given_back_is_taken(plane: Plane) -> None:
    ask(plane, 60)
    sell(plane, default_plan="")
    assert (GONE, 20) == told(ask(plane, 0, held=20))
    sell(plane)
    assert (GRANTED, 80) == told(ask(plane, 80, who=BOB))


def test_a_limit_that_counts_otherwise_is_leased_at_once(plane: Plane) -> None:
    """Of companies that are not there nothing is filled: such a limit starts at 0."""
    ask(plane, 60)
    apply.apply(plane.store, Desired(sold(HOURLY, HOURLY)), NOW_US)
    assert FillingWalker().any_left(plane.store)
    assert GRANTED is ask(plane, 10, HOUR, who=BOB).status


def test_a_company_that_is_created_counts_what_is_leased_of_the_counters_it_shares(
    plane: Plane,
) -> None:
    ask(plane, 60)
    sell(plane, DAILY, company(NAME))
    assert (RECALLING, 0) == told(ask(plane, 41, who=BOB))
    assert (GRANTED, 40) == told(ask(plane, 40, who=BOB))
    push(plane, 60, day())
    assert (EXHAUSTED, 40) == told(ask(plane, 1, held=40, who=BOB))


def test_a_company_that_is_removed_is_leased_the_default_plan(plane: Plane) -> None:
    sell(plane, replace(DAILY, amount=30), company(NAME))
    ask(plane, 60)
    apply.apply(plane.store, Desired(remove=(NAME,)), NOW_US)
    plane.now_us += 1
    assert (RECALLING, 0) == told(ask(plane, 1, who=BOB))
    assert (GRANTED, 10) == told(plane.ask(day(), held=10, used=10, name=NAME))
    assert (GRANTED, 20) == told(ask(plane, 20, who=BOB))


def test_an_id_that_leads_to_another_company_is_leased_nothing(plane: Plane) -> None:
    """What is counted under it is that one's usage."""
    sell(plane, DAILY, company())
    rename_company(plane.store, "acme", NAME)
    assert GONE is ask(plane, 1).status
    apply.apply(plane.store, Desired(remove=(NAME,)), NOW_US)
    assert GONE is ask(plane, 1).status
    assert GRANTED is plane.ask(day(), 1).status


def test_an_id_of_which_anything_is_leased_is_given_to_no_company(plane: Plane) -> None:
    """What is counted by it is another company's then, and would come on top."""
    sell(plane, DAILY, company())
    ask(plane, 5)
    with pytest.raises(Conflict, match="leased") as refused:
        rename_company(plane.store, "acme", NAME)
    assert "ALREADY_EXISTS" == refused.value.reason
    plane.ask(day(), held=0, name=NAME)
    assert rename_company(plane.store, "acme", NAME).renamed


def test_it_is_listed_with_limit_and_ceiling(plane: Plane) -> None:
    ask(plane, 60)
    ((found,), after) = list_leases(plane.store, LeasesWanted(NAME), None, 10, (), NOW_US)
    assert (NAME, "daily", 100, 60, None) == (
        found.company,
        found.limit,
        found.ceiling,
        found.outstanding,
        after,
    )


def test_the_next_window_has_a_lease_of_its_own(plane: Plane) -> None:
    ask(plane, 100)
    plane.now_us = TODAY.end_us
    tomorrow = day(Window(TODAY.end_us, TODAY.end_us + DAY_US))
    assert (GRANTED, 100) == told(ask(plane, 100, tomorrow, who=BOB))
