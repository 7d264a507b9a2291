"""The default plan: what decides for companies that the control plane does not have."""

from __future__ import annotations

from contextlib import closing
from typing import Final

import msgspec
import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.catalog.model import Catalog, FailAction, FailPolicy
from sidecar.domain.company.model import Company, Subscription
from sidecar.domain.limits.reasons import BasisMode, Reason
from sidecar.domain.time.units import DAY_US, MINUTE_US
from sidecar.domain.time.windows import window_at
from sidecar.storage.snapshots import SnapshotChanges
from tests.simulation.world import World
from tests.support.build import (
    ANCHORED_MONTH,
    DAY,
    MONTH,
    NOW_US,
    catalog,
    company,
    limit,
    metered,
)
from tests.support.inside import ABSENT_US, Inside
from tests.support.method_calls import ANYONE, call
from tests.support.sidecar_api import ask, stamp

EPOCH_US: Final = 0
CONTENT: Final[Catalog] = msgspec.structs.replace(
    catalog(
        {
            "basic": [metered("calls", limit("monthly", 100))],
            "free": [
                metered(
                    "calls",
                    limit("few", 5),
                    limit("cycle", 50, window=ANCHORED_MONTH),
                    limit("per_user", 2, window=DAY, each=["user"]),
                )
            ],
        }
    ),
    default_plan="free",
)


@pytest.fixture
def sidecar() -> Inside:
    return Inside(CONTENT, company())


async def decided(
    sidecar: Inside, quantity: int = 1, name: str = "stranger", user: str = ""
) -> pb.Decision:
    dimensions = {"user": user} if user else {}
    asked = ask(quantity=quantity, company=name, dimensions=dimensions)
    (outcome,) = await call("check", sidecar, asked)
    return outcome.response.decision


async def test_its_counters_count_for_each_company_by_itself(sidecar: Inside) -> None:
    found = [(await decided(sidecar, 3, name)).allowed for name in ("one", "two", "one", "two")]
    assert [True, True, False, False] == found
    assert [("one", 3), ("two", 3)] == [
        (record.company, record.quantity) for record in sidecar.records()
    ]
    assert {2} == {len(record.counters) for record in sidecar.records()}


async def test_its_limits_of_each_user_count_too(sidecar: Inside) -> None:
    users = ("ann", "ann", "bob", "ann")
    found = [(await decided(sidecar, user=user)).allowed for user in users]
    assert [True, True, True, False] == found


async def test_it_is_no_fallback_but_what_was_sold(sidecar: Inside) -> None:
    decision = await decided(sidecar)
    assert (BasisMode.LOCAL, sidecar.revision, pb.FALLBACK_CAUSE_UNSPECIFIED) == (
        BasisMode(decision.basis.mode),
        decision.basis.snapshot_version,
        decision.basis.fallback,
    )


async def test_its_billing_cycle_starts_at_the_epoch(sidecar: Inside) -> None:
    request = pb.CheckRequest(company="stranger", feature="calls")
    data = await sidecar.query_methods.check(request.SerializeToString(), ANYONE)
    windows = {
        status.limit: (status.window_start, status.resets_at)
        for status in pb.CheckResponse.FromString(data).limits
    }
    cycle = window_at(ANCHORED_MONTH, NOW_US, anchor_us=EPOCH_US)
    month = window_at(MONTH, NOW_US)
    assert {
        "few": (stamp(month.start_us), stamp(month.end_us)),
        "cycle": (stamp(cycle.start_us), stamp(cycle.end_us)),
    } == windows


async def test_a_company_that_comes_into_being_is_decided_by_its_own_snapshot_at_once(
    sidecar: Inside,
) -> None:
    """Its usage stays where both plans count the same thing."""
    assert not (await decided(sidecar, 6)).allowed
    assert (await decided(sidecar, 5)).allowed
    assert sidecar.directory.follows("stranger")
    sidecar.apply(None, company("stranger"))
    decision = await decided(sidecar, 6)
    assert (True, "monthly", 11) == (
        decision.allowed,
        decision.binding_limit.limit,
        decision.binding_limit.used,
    )


async def test_a_company_that_is_gone_is_asked_for_and_then_decided_by_the_default_plan(
    sidecar: Inside,
) -> None:
    sidecar.directory.apply(SnapshotChanges(removed=["acme"]))
    assert "few" == (await decided(sidecar, name="acme")).binding_limit.limit
    assert [(["acme"], None)] == sidecar.plane.asked


async def test_answers_say_that_the_company_is_unknown_and_which_plan_stands_in(
    sidecar: Inside,
) -> None:
    allowed, denied = await decided(sidecar, 5), await decided(sidecar)
    late = sidecar.decide(company="stranger", at_us=NOW_US - 30 * DAY_US).decision
    request = pb.GetUsageRequest(company="stranger")
    data = await sidecar.query_methods.get_usage(request.SerializeToString(), ANYONE)
    usage = pb.GetUsageResponse.FromString(data)
    told = [allowed.basis, denied.basis, late.basis, usage.basis]
    assert ["free"] * 4 == [basis.default_plan for basis in told]
    known = await decided(sidecar, name="acme")
    assert "" == known.basis.default_plan


async def test_with_the_plane_away_what_it_said_last_holds(sidecar: Inside) -> None:
    await decided(sidecar, 4)
    sidecar.plane.away = True
    sidecar.now_us += 10 * ABSENT_US
    assert [True, False] == [(await decided(sidecar)).allowed for _ in range(2)]


async def test_after_a_restart_with_the_plane_away_it_holds_still(sidecar: Inside) -> None:
    await decided(sidecar, 4)
    sidecar.plane.away = True
    sidecar.reopen()
    found = [await decided(sidecar) for _ in range(2)]
    assert [True, False] == [decision.allowed for decision in found]
    assert {BasisMode.LOCAL} == {BasisMode(decision.basis.mode) for decision in found}
    assert {"few"} == {decision.binding_limit.limit for decision in found}


async def test_after_a_restart_the_plane_is_asked_first_where_it_is_there(sidecar: Inside) -> None:
    await decided(sidecar)
    sidecar.plane.companies["stranger"] = company("stranger")
    sidecar.reopen()
    assert "monthly" == (await decided(sidecar)).binding_limit.limit


async def test_a_company_that_came_into_being_is_not_taken_for_absent_after_a_restart(
    sidecar: Inside,
) -> None:
    await decided(sidecar)
    sidecar.apply(None, company("stranger"))
    sidecar.plane.away = True
    sidecar.reopen()
    assert "monthly" == (await decided(sidecar)).binding_limit.limit


async def test_of_who_was_never_asked_for_nothing_is_known_after_a_restart(
    sidecar: Inside,
) -> None:
    """The feature's fail policy decides then, which denies unless it says otherwise."""
    await decided(sidecar)
    sidecar.plane.away = True
    sidecar.reopen()
    assert Reason.UNKNOWN_COMPANY == Reason((await decided(sidecar, name="another")).reason)


async def test_too_old_it_is_no_better_than_a_snapshot(sidecar: Inside) -> None:
    policy = FailPolicy(stale=FailAction.DENY, stale_after_us=5 * MINUTE_US)
    features = tuple(
        msgspec.structs.replace(feature, fail_policy=policy) for feature in CONTENT.features
    )
    sidecar.apply(msgspec.structs.replace(CONTENT, features=features))
    assert (await decided(sidecar)).allowed
    sidecar.plane.away = True
    sidecar.now_us += 5 * MINUTE_US
    assert Reason.SNAPSHOT_STALE == Reason((await decided(sidecar)).reason)


async def test_another_default_plan_holds_at_once(sidecar: Inside) -> None:
    await decided(sidecar)
    sidecar.apply(msgspec.structs.replace(CONTENT, default_plan="basic"))
    assert "monthly" == (await decided(sidecar)).binding_limit.limit
    sidecar.apply(msgspec.structs.replace(CONTENT, default_plan=""))
    assert Reason.UNKNOWN_COMPANY == Reason((await decided(sidecar)).reason)


async def test_usage_that_has_happened_counts_on_it_as_what_is_checked_does(
    sidecar: Inside,
) -> None:
    for _ in range(2):
        await call("record", sidecar, ask(quantity=1, company="stranger"))
        await decided(sidecar, 1)
    assert [2, 2, 2, 2] == [len(record.counters) for record in sidecar.records()]


async def test_usage_and_entitlements_of_an_absent_company_are_those_of_the_default_plan(
    sidecar: Inside,
) -> None:
    await decided(sidecar, 4)
    request = pb.GetUsageRequest(company="stranger")
    data = await sidecar.query_methods.get_usage(request.SerializeToString(), ANYONE)
    (feature,) = pb.GetUsageResponse.FromString(data).features
    assert [("few", 4), ("cycle", 4)] == [(status.limit, status.used) for status in feature.limits]
    asked = pb.GetEntitlementRequest(company="stranger", feature="calls")
    data = await sidecar.query_methods.get_entitlement(asked.SerializeToString(), ANYONE)
    found = pb.GetEntitlementResponse.FromString(data)
    assert ("free", True) == (found.plan, found.entitlement.entitled)


async def test_memory_of_companies_by_the_default_plan_is_bounded() -> None:
    """Who is forgotten is only looked up again: what was counted is in the store."""
    sidecar = Inside(CONTENT, company(), companies_cached_max=3)
    for _ in range(2):
        for at in range(10):
            assert (await decided(sidecar, 2, f"stranger {at}")).allowed
    for at in range(10):
        assert not (await decided(sidecar, 2, f"stranger {at}")).allowed
    found = [sidecar.directory.default_company(f"stranger {at}") for at in range(10)]
    again = [sidecar.directory.default_company(f"stranger {at}") for at in range(7, 10)]
    assert found[7:] == again
    assert found[0] is not sidecar.directory.default_company("stranger 0")


async def test_alone_whoever_the_file_lacks_has_the_default_plan() -> None:
    sidecar = Inside(CONTENT, company(), authority=True)
    assert [True, False] == [(await decided(sidecar, 3)).allowed for _ in range(2)]
    sidecar.now_us += 30 * DAY_US
    assert (await decided(sidecar, 3)).allowed


def _offline_with_default_plan(*companies: Company) -> World:
    """A sidecar without its plane since before the companies came into being."""
    plans = {
        "basic": [metered("calls", limit("cycle", 100, window=ANCHORED_MONTH))],
        "free": [metered("calls", limit("few", 50))],
    }
    content = catalog(plans)
    fails_open = FailPolicy(no_snapshot=FailAction.DEFAULT_PLAN)
    (calls,) = content.features
    world = World(NOW_US)
    features = (msgspec.structs.replace(calls, fail_policy=fails_open),)
    content = msgspec.structs.replace(content, features=features, default_plan="free")
    world.apply(content, [])
    world.sync()
    world.online = False
    world.apply(content, companies)
    return world


def test_what_it_let_pass_of_a_company_that_is_there_counts_on_the_company_s_own_windows() -> None:
    acme = Company("acme", subscription=Subscription("basic", NOW_US - 5 * DAY_US))
    with closing(_offline_with_default_plan(acme)) as world:
        assert world.check("acme", "calls", 40, {}).allowed
        world.online = True
        world.sync()
        assert [("cycle", 40)] == [(one.limit.id, one.used) for one in world.usage("acme")]
        found = [world.check("acme", "calls", quantity, {}).allowed for quantity in (61, 60, 1)]
        assert [False, True, False] == found


def test_what_it_let_pass_of_a_company_that_is_not_there_stays_where_it_is() -> None:
    with closing(_offline_with_default_plan()) as world:
        assert world.check("acme", "calls", 40, {}).allowed
        world.online = True
        world.sync()
        found = [world.check("acme", "calls", quantity, {}).allowed for quantity in (11, 10, 1)]
        assert [False, True, False] == found
