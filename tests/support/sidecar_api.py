"""What the tests of the sidecar's API share: companies, plans, and short ways to ask."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.catalog.model import Catalog, EntitlementGrant, FeatureKind
from sidecar.domain.company.model import Company, Override, Subscription, SubscriptionStatus
from sidecar.domain.slices import whole
from sidecar.domain.time.units import DAY_US
from tests.support.build import (
    DAY,
    HARD,
    MIDNIGHT_US,
    NOW_US,
    SHADOW,
    SOFT,
    catalog,
    company,
    limit,
    metered,
)
from tests.support.sidecars import Serving

ANCHOR_US: Final = 1_767_225_600_000_000

CONTENT: Final[Catalog] = catalog(
    {
        "basic": [
            metered("calls", limit("monthly", 100)),
            metered("tokens", limit("soft", 100, SOFT), limit("trial", 10, SHADOW)),
            metered("free"),
            metered(
                "messages",
                limit("per_user", 3, HARD, DAY, each=["user"]),
                limit("everyone", 5, HARD, DAY),
                limit("large", 2, HARD, DAY, match={"model": "large"}),
            ),
            EntitlementGrant("days", config_value="30"),
            EntitlementGrant("sso", enabled=True),
            EntitlementGrant("audit", enabled=False),
        ],
        "bare": [],
    },
    {
        "days": FeatureKind.CONFIG,
        "sso": FeatureKind.BOOLEAN,
        "audit": FeatureKind.BOOLEAN,
    },
)
ACME: Final = company("acme")
COMPANIES: Final[tuple[Company, ...]] = (
    ACME,
    company("bare", "bare"),
    Company("nobody"),
    Company("canceled", subscription=Subscription("basic", ANCHOR_US, cancel_us=NOW_US - DAY_US)),
    Company("trial_over", subscription=Subscription("basic", ANCHOR_US, MIDNIGHT_US)),
    Company(
        "trialing",
        subscription=Subscription("basic", ANCHOR_US, NOW_US + DAY_US, SubscriptionStatus.ACTIVE),
    ),
    Company(
        "special",
        subscription=Subscription("basic", ANCHOR_US),
        overrides=(Override(metered("calls", limit("own", 7)), NOW_US + DAY_US),),
    ),
)


def ask(
    feature: str = "calls", quantity: int | None = None, company: str = "acme", **fields: Any
) -> pb.CheckAndIncrementRequest:
    """A check; without a quantity it is left out."""
    return pb.CheckAndIncrementRequest(
        company=company, feature=feature, quantity=quantity, **fields
    )


def report(
    feature: str = "calls", quantity: int | None = None, company: str = "acme", **fields: Any
) -> pb.RecordUsageRequest:
    """A report of usage."""
    return pb.RecordUsageRequest(company=company, feature=feature, quantity=quantity, **fields)


def stamp(at_us: int) -> Timestamp:
    """An instant as a message."""
    found = Timestamp()
    found.FromMicroseconds(at_us)
    return found


async def check(sidecar: Serving, *args: Any, **fields: Any) -> pb.CheckAndIncrementResponse:
    """Ask one check."""
    answer: pb.CheckAndIncrementResponse = await sidecar.api.CheckAndIncrement(ask(*args, **fields))
    return answer


def outcome(answer: Any) -> tuple[bool, str, int]:
    """Whether it was allowed, the reason's name, and how much was granted."""
    decision = answer.decision
    return decision.allowed, pb.Reason.Name(decision.reason), decision.granted


def records(sidecar: Serving) -> list[sync_pb2.UsageRecord]:
    """What waits to be sent."""
    run = whole(sidecar.container.outbox.next_run(1000, 1 << 20))
    return [sync_pb2.UsageRecord.FromString(record) for record in run.records] if run else []
