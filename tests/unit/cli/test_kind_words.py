"""What of credits, seats and levels is told in words."""

from __future__ import annotations

from typing import Final

import pytest
from google.protobuf.duration_pb2 import Duration

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.cli import describe
from sidecar.cli.common import ExitCode
from tests.unit.cli.fakes import FakeServer, tallyd

MONTH: Final = catalog_pb2.Window(
    unit=catalog_pb2.WINDOW_UNIT_MONTH, interval=1, alignment=catalog_pb2.ALIGNMENT_ANCHORED
)
EVER: Final = catalog_pb2.Window(unit=catalog_pb2.WINDOW_UNIT_LIFETIME)
HARD: Final = catalog_pb2.ENFORCEMENT_HARD
INCLUDED: Final = catalog_pb2.Limit(
    id="included", amount=5_000_000, window=MONTH, enforcement=HARD, priority=10
)
BOUGHT: Final = catalog_pb2.Limit(
    id="bought",
    amount=0,
    window=EVER,
    enforcement=HARD,
    credit_kind=catalog_pb2.CREDIT_KIND_PAID,
)
NAMED: Final = catalog_pb2.Limit(
    id="named",
    amount=5,
    window=EVER,
    enforcement=HARD,
    swaps=catalog_pb2.Swaps(amount=3, window=MONTH),
)


def price(micro_credits: int, per: int = 1) -> catalog_pb2.Price:
    return catalog_pb2.Price(micro_credits=micro_credits, per=per)


def test_what_a_company_may_do_with_them(fake: FakeServer) -> None:
    costs = [
        catalog_pb2.FeatureCost(
            credits="money",
            by="model",
            otherwise=price(0),
            prices=[catalog_pb2.ValuePrice(value="large", price=price(1, 100))],
        ),
        catalog_pb2.FeatureCost(credits="points", otherwise=price(40_000)),
    ]
    billing = catalog_pb2.LevelBilling(measure=catalog_pb2.LEVEL_MEASURE_PEAK, window=MONTH)
    features = [
        (
            catalog_pb2.Feature(
                key="jobs",
                kind=catalog_pb2.FEATURE_KIND_LEVEL,
                ttl_max=Duration(seconds=5_400),
                billing=billing,
            ),
            pb.Entitlement(),
        ),
        (
            catalog_pb2.Feature(key="money", kind=catalog_pb2.FEATURE_KIND_CREDITS),
            pb.Entitlement(limits=[INCLUDED, BOUGHT], overdraft=1_000_000),
        ),
        (
            catalog_pb2.Feature(key="seats", kind=catalog_pb2.FEATURE_KIND_SEATS),
            pb.Entitlement(limits=[NAMED]),
        ),
        (
            catalog_pb2.Feature(key="tokens", kind=catalog_pb2.FEATURE_KIND_METERED, costs=costs),
            pb.Entitlement(),
        ),
    ]
    held = []
    for feature, entitlement in features:
        entitlement.feature.CopyFrom(feature)
        entitlement.entitled, entitlement.reason = True, pb.REASON_ALLOWED
        held.append(entitlement)
    fake.answers["ListEntitlements"] = pb.ListEntitlementsResponse(entitlements=held, plan="pro")
    result = tallyd("entitlements", "acme", "--sidecar", fake.address)
    assert ExitCode.OK == result.exit_code
    _, table = result.stdout.split("\n\n")
    expected = """\
FEATURE  KIND     ENTITLED  GRANTS
jobs     level    yes       unlimited
                            comes back after 1 h 30 min at most
                            billed by peak per billing month
money    credits  yes       included: 5000000 per billing month, hard, priority 10
                            bought: 0 per lifetime, hard, paid
                            overdraft: 1000000
seats    seats    yes       named: 5 at a time, hard, at most 3 swaps per billing month
tokens   metered  yes       unlimited
                            costs money: 1 per 100 for large, free for others
                            costs points: 40000
"""
    assert expected == table


@pytest.mark.parametrize(
    ("grant", "expected"),
    [
        (
            catalog_pb2.EntitlementGrant(limits=[BOUGHT], overdraft=5),
            ["bought: 0 per lifetime, paid", "overdraft: 5"],
        ),
        (
            catalog_pb2.EntitlementGrant(
                overdraft_change=catalog_pb2.OverdraftChange(amount=5, adds=True)
            ),
            ["overdraft: +5"],
        ),
        (
            catalog_pb2.EntitlementGrant(
                limit_changes=[catalog_pb2.LimitChange(limit="bought", amount=7, adds=True)],
                overdraft_change=catalog_pb2.OverdraftChange(amount=0),
            ),
            ["bought: +7", "overdraft: 0"],
        ),
    ],
)
def test_what_a_source_grants(grant: catalog_pb2.EntitlementGrant, expected: list[str]) -> None:
    assert expected == describe.grant_lines(grant, catalog_pb2.FEATURE_KIND_CREDITS)
