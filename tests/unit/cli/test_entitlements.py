"""`tallyd entitlements`."""

from __future__ import annotations

import json

import pytest
from google.protobuf.duration_pb2 import Duration

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.cli.common import ExitCode
from sidecar.shared.convert.times import timestamp
from tests.unit.cli.fakes import FakeServer, tallyd

MONTHLY = catalog_pb2.Limit(
    id="monthly",
    amount=1_000_000,
    window=catalog_pb2.Window(
        unit=catalog_pb2.WINDOW_UNIT_MONTH,
        interval=3,
        alignment=catalog_pb2.ALIGNMENT_ANCHORED,
    ),
    enforcement=catalog_pb2.ENFORCEMENT_SOFT,
)
WEEKLY = catalog_pb2.Limit(
    id="weekly",
    window=catalog_pb2.Window(unit=catalog_pb2.WINDOW_UNIT_WEEK, interval=1, first_weekday=6),
    scope=catalog_pb2.Scope(dimensions=["workspace", "user"], match={"model": "large"}),
    enforcement=catalog_pb2.ENFORCEMENT_SHADOW,
)
EVER = catalog_pb2.Limit(
    id="ever",
    amount=5,
    window=catalog_pb2.Window(unit=catalog_pb2.WINDOW_UNIT_LIFETIME),
    enforcement=catalog_pb2.ENFORCEMENT_HARD,
)


def entitlement(
    key: str, kind: catalog_pb2.FeatureKind.ValueType, **more: object
) -> pb.Entitlement:
    held = pb.Entitlement(
        feature=catalog_pb2.Feature(key=key, kind=kind), entitled=True, reason=pb.REASON_ALLOWED
    )
    held.MergeFrom(pb.Entitlement(**more))  # type: ignore[arg-type]
    return held


TOKENS = entitlement("tokens", catalog_pb2.FEATURE_KIND_METERED, limits=[MONTHLY, WEEKLY, EVER])
SSO_DENIED = pb.Entitlement(
    feature=catalog_pb2.Feature(key="sso", kind=catalog_pb2.FEATURE_KIND_BOOLEAN),
    entitled=False,
    reason=pb.REASON_NOT_ENTITLED,
)


def test_everything_that_a_company_may_do(fake: FakeServer) -> None:
    fake.answers["ListEntitlements"] = pb.ListEntitlementsResponse(
        entitlements=[
            entitlement("calls", catalog_pb2.FEATURE_KIND_METERED),
            entitlement("days", catalog_pb2.FEATURE_KIND_CONFIG, config_value="30"),
            SSO_DENIED,
            TOKENS,
        ],
        status=catalog_pb2.SUBSCRIPTION_STATUS_PAST_DUE,
        plan="pro",
        basis=pb.Basis(mode=pb.BASIS_MODE_FALLBACK, snapshot_version=3),
    )

    result = tallyd("entitlements", "acme", "--sidecar", fake.address)

    assert ExitCode.OK == result.exit_code
    expected = """\
company  acme
plan     pro
status   past_due
basis    FALLBACK, revision 3, its own authority, others may count too

FEATURE  KIND     ENTITLED          GRANTS
calls    metered  yes               unlimited
days     config   yes               30
sso      boolean  no: NOT_ENTITLED
tokens   metered  yes               monthly: 1000000 per 3 billing months, soft
                                    weekly: unlimited per week from Sun, shadow, \
each workspace and user, when model=large
                                    ever: 5 per lifetime, hard
"""
    assert expected == result.stdout
    assert [pb.ListEntitlementsRequest(company="acme")] == fake.requests


@pytest.mark.parametrize(
    ("at", "at_us", "shown"),
    [
        ("2100-01-01", 4_102_444_800_000_000, "(2100-01-01 00:00:00 UTC)\nplan"),
        (
            "2026-01-31",
            1_769_817_600_000_000,
            "(2026-01-31 00:00:00 UTC)\nnote     what was in force",
        ),
    ],
)
def test_another_instant_is_asked_for_and_told(
    fake: FakeServer, at: str, at_us: int, shown: str
) -> None:
    fake.answers["ListEntitlements"] = pb.ListEntitlementsResponse(plan="pro")

    options = ("--at", at, "--time-zone", "UTC", "--sidecar", fake.address)
    result = tallyd("entitlements", "acme", *options)

    assert [pb.ListEntitlementsRequest(company="acme", at=timestamp(at_us))] == fake.requests
    assert shown in result.stdout


def test_rates_throttles_and_what_carries_over_are_told(fake: FakeServer) -> None:
    month = catalog_pb2.Window(
        unit=catalog_pb2.WINDOW_UNIT_MONTH, interval=1, alignment=catalog_pb2.ALIGNMENT_CALENDAR
    )
    slow = catalog_pb2.Rate(count=1, period=Duration(seconds=90), burst=5)
    quick = catalog_pb2.Rate(count=10, period=Duration(nanos=1_000_000), burst=10)
    limits = [
        catalog_pb2.Limit(
            id="slowed",
            amount=100,
            window=month,
            enforcement=catalog_pb2.ENFORCEMENT_THROTTLE,
            throttle=slow,
        ),
        catalog_pb2.Limit(
            id="kept",
            amount=100,
            window=month,
            enforcement=catalog_pb2.ENFORCEMENT_HARD,
            rollover=catalog_pb2.Rollover(windows=3, max_amount=500, max_percent=50),
        ),
        catalog_pb2.Limit(
            id="once",
            amount=100,
            window=month,
            enforcement=catalog_pb2.ENFORCEMENT_SOFT,
            rollover=catalog_pb2.Rollover(windows=1),
        ),
    ]
    burst = catalog_pb2.RateLimit(
        id="burst",
        rate=quick,
        enforcement=catalog_pb2.ENFORCEMENT_SHADOW,
        scope=catalog_pb2.Scope(dimensions=["user"]),
    )
    calls = entitlement("calls", catalog_pb2.FEATURE_KIND_METERED, limits=limits, rates=[burst])
    fake.answers["GetEntitlement"] = pb.GetEntitlementResponse(entitlement=calls, plan="pro")

    result = tallyd("entitlements", "acme", "calls", "--sidecar", fake.address)

    expected = """
FEATURE  KIND     ENTITLED  GRANTS
calls    metered  yes       slowed: 100 per month, throttle to 1 per 90 seconds, 5 at once
                            kept: 100 per month, hard, unused carries over 3 windows, \
at most 500 and 50 %
                            once: 100 per month, soft, unused carries over 1 window
                            burst: 10 per 1 ms, shadow, each user
"""
    assert result.stdout.endswith(expected)


def test_rates_of_what_is_denied_are_told_without_an_empty_row(fake: FakeServer) -> None:
    burst = catalog_pb2.RateLimit(
        id="burst",
        rate=catalog_pb2.Rate(count=5, period=Duration(seconds=1), burst=5),
        enforcement=catalog_pb2.ENFORCEMENT_HARD,
    )
    calls = pb.Entitlement(
        feature=catalog_pb2.Feature(key="calls", kind=catalog_pb2.FEATURE_KIND_METERED),
        reason=pb.REASON_SUBSCRIPTION_PAUSED,
        rates=[burst],
    )
    fake.answers["GetEntitlement"] = pb.GetEntitlementResponse(entitlement=calls, plan="pro")

    result = tallyd("entitlements", "acme", "calls", "--sidecar", fake.address)

    expected = """
FEATURE  KIND     ENTITLED                 GRANTS
calls    metered  no: SUBSCRIPTION_PAUSED  burst: 5 per second, hard
"""
    assert ExitCode.NEGATIVE == result.exit_code
    assert result.stdout.endswith(expected)


def test_one_feature_that_is_granted_is_exit_0(fake: FakeServer) -> None:
    fake.answers["GetEntitlement"] = pb.GetEntitlementResponse(entitlement=TOKENS, plan="pro")

    result = tallyd("entitlements", "acme", "tokens", "--sidecar", fake.address, "--json")

    assert ExitCode.OK == result.exit_code
    assert [pb.GetEntitlementRequest(company="acme", feature="tokens")] == fake.requests
    answer = json.loads(result.stdout)
    assert [1_000_000, None, 5] == [item["amount"] for item in answer["entitlement"]["limits"]]
    assert "METERED" == answer["entitlement"]["feature"]["kind"]


def test_one_feature_that_is_not_granted_is_exit_1(fake: FakeServer) -> None:
    fake.answers["GetEntitlement"] = pb.GetEntitlementResponse(entitlement=SSO_DENIED)

    result = tallyd("entitlements", "acme", "sso", "--sidecar", fake.address)

    assert ExitCode.NEGATIVE == result.exit_code
    assert "plan     none\nstatus   none\n" in result.stdout
    assert "no: NOT_ENTITLED" in result.stdout
