"""Answers to `ExplainEntitlement`, and a way to have them told."""

from __future__ import annotations

from typing import Any, Final

from google.protobuf.duration_pb2 import Duration

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.cli.common import ExitCode
from sidecar.domain.time.units import DAY_US, HOUR_US
from sidecar.shared.convert.times import timestamp
from tests.unit.cli.fakes import FakeServer, tallyd

NOON_US: Final = 1_769_860_800_000_000  # 2026-01-31T12:00:00Z
FEBRUARY_US: Final = NOON_US + 12 * HOUR_US
HARD: Final = catalog_pb2.ENFORCEMENT_HARD
METERED: Final = catalog_pb2.FEATURE_KIND_METERED
MONTH: Final = catalog_pb2.Window(
    unit=catalog_pb2.WINDOW_UNIT_MONTH, interval=1, alignment=catalog_pb2.ALIGNMENT_ANCHORED
)
DAY: Final = catalog_pb2.Window(
    unit=catalog_pb2.WINDOW_UNIT_DAY, interval=1, alignment=catalog_pb2.ALIGNMENT_CALENDAR
)
RATE: Final = catalog_pb2.Rate(count=10, period=Duration(seconds=1), burst=20)
SLOW: Final = catalog_pb2.Rate(count=1, period=Duration(seconds=60), burst=1)


def limit(name: str, amount: int, window: catalog_pb2.Window, **more: Any) -> catalog_pb2.Limit:
    more.setdefault("enforcement", HARD)
    return catalog_pb2.Limit(id=name, amount=amount, window=window, **more)


def status(name: str, amount: int, used: int, **more: Any) -> pb.LimitStatus:
    more.setdefault("enforcement", HARD)
    more.setdefault("resets_at", timestamp(FEBRUARY_US))
    left = amount + more.get("carried", 0) - used
    return pb.LimitStatus(
        limit=name, amount=amount, used=used, remaining=max(0, left), overage=max(0, -left), **more
    )


PER_USER: Final = limit("per_user", 50, DAY, scope=catalog_pb2.Scope(dimensions=["user"]))
LARGE: Final = limit(
    "large",
    5,
    DAY,
    scope=catalog_pb2.Scope(match={"model": "large"}),
    enforcement=catalog_pb2.ENFORCEMENT_SHADOW,
)
BURST: Final = catalog_pb2.RateLimit(id="burst", rate=RATE, enforcement=HARD)


def monthly(amount: int) -> catalog_pb2.Limit:
    return limit("monthly", amount, MONTH)


def grant(*limits: catalog_pb2.Limit, **more: Any) -> catalog_pb2.EntitlementGrant:
    return catalog_pb2.EntitlementGrant(feature="tokens", limits=limits, **more)


def answer(decision: pb.Decision, **more: Any) -> pb.ExplainEntitlementResponse:
    """A plan, and an add-on held twice that adds to one of its limits."""
    before = grant(monthly(1000), PER_USER, LARGE, rates=[BURST])
    after = grant(monthly(2000), PER_USER, LARGE, rates=[BURST])
    found = pb.ExplainEntitlementResponse(
        sources=[
            pb.EntitlementSource(
                kind=pb.SOURCE_KIND_PLAN,
                key="pro",
                quantity=1,
                effect=pb.SOURCE_EFFECT_GRANTED,
                grant=before,
                result=before,
            ),
            pb.EntitlementSource(
                kind=pb.SOURCE_KIND_ADD_ON,
                key="seats",
                quantity=1,
                effect=pb.SOURCE_EFFECT_SILENT,
                result=before,
            ),
            pb.EntitlementSource(
                kind=pb.SOURCE_KIND_ADD_ON,
                key="boost",
                quantity=2,
                effect=pb.SOURCE_EFFECT_ADDED,
                grant=grant(monthly(500)),
                result=after,
            ),
        ],
        entitlement=pb.Entitlement(
            feature=catalog_pb2.Feature(key="tokens", kind=METERED),
            entitled=True,
            reason=pb.REASON_ALLOWED,
            limits=after.limits,
            rates=after.rates,
        ),
        segment=catalog_pb2.Segment(
            status=catalog_pb2.SUBSCRIPTION_STATUS_ACTIVE,
            plan="pro",
            add_ons=[
                catalog_pb2.SubscriptionAddOn(add_on="boost", quantity=2),
                catalog_pb2.SubscriptionAddOn(add_on="seats", quantity=1),
            ],
            until=timestamp(FEBRUARY_US),
        ),
        decision=decision,
        **more,
    )
    getattr(found.segment, "from").CopyFrom(timestamp(NOON_US - 10 * DAY_US))  # a keyword
    return found


BASIS: Final = pb.Basis(mode=pb.BASIS_MODE_LOCAL, snapshot_version=12, uncertainty=0)
MONTHLY_STATUS: Final = status("monthly", 2000, 900, carried=150)
PER_USER_STATUS: Final = status("per_user", 50, 40, dimensions={"user": "ann"})
LARGE_STATUS: Final = status("large", 5, 40, enforcement=catalog_pb2.ENFORCEMENT_SHADOW)
BURST_STATUS: Final = status("burst", 20, 15, rate=RATE)
DENIED: Final = pb.Decision(
    reason=pb.REASON_LIMIT_EXCEEDED,
    binding_limit=PER_USER_STATUS,
    retry_after=Duration(seconds=43_200),
    shadow_denials=["large"],
    basis=BASIS,
)
FULL: Final = answer(
    DENIED, limits=[MONTHLY_STATUS, PER_USER_STATUS, LARGE_STATUS, BURST_STATUS], other_limits=["x"]
)


def run(fake: FakeServer, found: pb.ExplainEntitlementResponse, *args: str) -> str:
    fake.answers["ExplainEntitlement"] = found
    result = tallyd("explain", "acme", "tokens", "--sidecar", fake.address, *args)
    wanted = ExitCode.OK if found.decision.allowed else ExitCode.NEGATIVE
    assert (wanted, "") == (result.exit_code, result.stderr)
    return result.stdout


def why(fake: FakeServer, found: pb.ExplainEntitlementResponse, *args: str) -> str:
    return run(fake, found, *args).splitlines()[-1]
