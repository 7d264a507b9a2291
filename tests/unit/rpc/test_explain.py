"""`ExplainEntitlement` without a transport: what is asked, fetched and answered."""

from __future__ import annotations

from typing import Any, Final

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import Limit
from sidecar.domain.company.model import AddOnSubscription, Override
from sidecar.domain.errors import FieldError, InvalidInput, NotFound
from sidecar.domain.time.units import DAY_US, SECOND_US
from sidecar.domain.time.windows import END_INSTANT_US, FIRST_INSTANT_US
from sidecar.engine.runner import InlineRunner
from sidecar.rpc.explain import ExplainMethods
from sidecar.rpc.snapshot_fetch import SnapshotFetcher
from sidecar.shared.convert.times import timestamp
from tests.support.build import DAY, NOW_US, company, metered
from tests.support.method_calls import ANYONE
from tests.unit.engine.explain_bench import ANCHOR_US, APRIL_US, Bench

HARD: Final = catalog_pb2.ENFORCEMENT_HARD


async def explain(
    bench: Bench, feature: str = "calls", company: str = "acme", **fields: Any
) -> pb.ExplainEntitlementResponse:
    runner = InlineRunner(bench.opened.store)
    snapshot_fetcher = SnapshotFetcher(bench.directory, runner, bench.plane)
    methods = ExplainMethods(
        bench.explainer, bench.queries, runner, snapshot_fetcher, lambda: bench.now_us
    )
    request = pb.ExplainEntitlementRequest(company=company, feature=feature, **fields)
    data = await methods.explain_entitlement(request.SerializeToString(), ANYONE)
    return pb.ExplainEntitlementResponse.FromString(data)


def monthly(amount: int) -> catalog_pb2.EntitlementGrant:
    window = catalog_pb2.Window(
        unit=catalog_pb2.WINDOW_UNIT_MONTH, interval=1, alignment=catalog_pb2.ALIGNMENT_CALENDAR
    )
    limit = catalog_pb2.Limit(
        id="monthly",
        amount=amount,
        window=window,
        scope=catalog_pb2.Scope(),
        enforcement=HARD,
        warning_percents=[50, 80, 100],
    )
    return catalog_pb2.EntitlementGrant(feature="calls", limits=[limit])


async def test_sources_say_what_they_grant_and_what_comes_of_it() -> None:
    found = await explain(Bench(AddOnSubscription("more", 3), AddOnSubscription("seats")))
    assert [
        pb.EntitlementSource(
            kind=pb.SOURCE_KIND_PLAN,
            key="basic",
            quantity=1,
            effect=pb.SOURCE_EFFECT_GRANTED,
            grant=monthly(100),
            result=monthly(100),
        ),
        pb.EntitlementSource(
            kind=pb.SOURCE_KIND_ADD_ON,
            key="seats",
            quantity=1,
            effect=pb.SOURCE_EFFECT_SILENT,
            result=monthly(100),
        ),
        pb.EntitlementSource(
            kind=pb.SOURCE_KIND_ADD_ON,
            key="more",
            quantity=3,
            effect=pb.SOURCE_EFFECT_ADDED,
            grant=monthly(10),
            result=monthly(130),
        ),
    ] == list(found.sources)
    assert list(monthly(130).limits) == list(found.entitlement.limits)


async def test_the_answer_has_decision_limits_segment_and_basis() -> None:
    bench = Bench(AddOnSubscription("seats"), cancel_us=APRIL_US)
    bench.count("calls", 90)
    found = await explain(bench, quantity=11)
    status = pb.LimitStatus(
        limit="monthly",
        enforcement=HARD,
        amount=100,
        used=90,
        remaining=10,
        window_start=timestamp(APRIL_US - 31 * DAY_US),
        resets_at=timestamp(APRIL_US),
    )
    assert [status] == list(found.limits)
    assert (
        pb.Decision(
            reason=pb.REASON_LIMIT_EXCEEDED,
            binding_limit=status,
            retry_after=Duration(seconds=(APRIL_US - NOW_US) // SECOND_US),
            basis=pb.Basis(mode=pb.BASIS_MODE_LOCAL, snapshot_version=1, uncertainty=0),
        )
        == found.decision
    )
    assert (
        catalog_pb2.Segment(
            until=timestamp(APRIL_US),
            status=catalog_pb2.SUBSCRIPTION_STATUS_ACTIVE,
            plan="basic",
            add_ons=[catalog_pb2.SubscriptionAddOn(add_on="seats", quantity=1)],
            time_zone="UTC",
            anchor=timestamp(ANCHOR_US),
        )
        == found.segment
    )
    assert pb.REASON_ALLOWED == found.entitlement.reason


async def test_the_segment_comes_without_overrides() -> None:
    own = Override(metered("calls", Limit("own", DAY, 7)), NOW_US + DAY_US)
    found = await explain(Bench(overrides=(own,)))
    assert [pb.SOURCE_KIND_PLAN, pb.SOURCE_KIND_OVERRIDE] == [each.kind for each in found.sources]
    assert [] == list(found.segment.overrides)
    assert timestamp(NOW_US + DAY_US) == found.segment.until


async def test_dimensions_and_quantity_are_those_of_the_check_that_is_meant() -> None:
    bench = Bench()
    found = await explain(bench, "messages", dimensions={"user": "ann"}, quantity=6)
    assert ["per_user", "everyone"] == [status.limit for status in found.limits]
    assert {"user": "ann"} == dict(found.decision.binding_limit.dimensions)
    assert ["large"] == list(found.other_limits)
    assert not found.decision.allowed
    assert (await explain(bench, "messages", dimensions={"user": "ann"})).decision.allowed
    nothing = await explain(bench, "messages", dimensions={"user": "ann"}, quantity=0)
    assert (True, 0) == (nothing.decision.allowed, nothing.decision.granted)


async def test_a_rate_is_told_like_a_limit() -> None:
    bench = Bench()
    bench.count("jobs", 15)
    ever, burst = (await explain(bench, "jobs")).limits
    assert ("ever", 1000, 15, False) == (ever.limit, ever.amount, ever.used, ever.HasField("rate"))
    assert ("burst", 20, 15, 5) == (burst.limit, burst.amount, burst.used, burst.remaining)
    assert catalog_pb2.Rate(count=10, period=Duration(seconds=1), burst=20) == burst.rate
    (_, later) = (await explain(bench, "jobs", at=timestamp(APRIL_US))).limits
    assert (0, timestamp(APRIL_US)) == (later.used, later.resets_at)


async def test_a_company_that_is_not_held_is_fetched() -> None:
    bench = Bench(authority=False)
    bench.plane.companies["later"] = company("later")
    assert (await explain(bench, company="later")).decision.allowed
    with pytest.raises(NotFound) as caught:
        await explain(bench, company="nowhere")
    assert ("company", "UNKNOWN_COMPANY") == (caught.value.field, caught.value.reason)
    assert [["later"], ["nowhere"]] == [asked for asked, _ in bench.plane.asked]


@pytest.mark.parametrize(
    "at_us", [FIRST_INSTANT_US, -1, 0, NOW_US - 400 * DAY_US, APRIL_US, END_INSTANT_US - 1]
)
async def test_the_instant_may_lie_anywhere(at_us: int) -> None:
    found = await explain(Bench(), at=timestamp(at_us))
    (status,) = found.limits
    assert status.window_start.ToMicroseconds() <= at_us < status.resets_at.ToMicroseconds()
    assert found.decision.allowed


@pytest.mark.parametrize(
    ("fields", "error", "field"),
    [
        ({"company": ""}, InvalidInput, "company"),
        ({"company": "a" * 129}, InvalidInput, "company"),
        ({"feature": ""}, InvalidInput, "feature"),
        ({"feature": "nothing"}, NotFound, "feature"),
        ({"quantity": -1}, InvalidInput, "quantity"),
        ({"dimensions": {"user\n": "ann"}}, InvalidInput, "dimensions"),
        ({"dimensions": {str(n): "" for n in range(17)}}, InvalidInput, "dimensions"),
        ({"at": timestamp(FIRST_INSTANT_US - 1)}, InvalidInput, "at"),
        ({"at": timestamp(END_INSTANT_US)}, InvalidInput, "at"),
        ({"at": Timestamp(nanos=-1)}, InvalidInput, "at"),
    ],
)
async def test_a_bad_request_names_the_field(
    fields: dict[str, Any], error: type[FieldError], field: str
) -> None:
    with pytest.raises(error) as caught:
        await explain(Bench(), **fields)
    assert field == caught.value.field


async def test_the_largest_quantity_can_be_explained() -> None:
    found = await explain(Bench(), quantity=INT64_MAX)
    assert pb.REASON_LIMIT_EXCEEDED == found.decision.reason
    assert not found.decision.HasField("retry_after")
