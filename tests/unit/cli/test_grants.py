"""`tallyd grant`, `grants` and `revoke`."""

from __future__ import annotations

import json
from typing import Final

import pytest

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import control_pb2
from sidecar.cli.common import ExitCode
from sidecar.domain.catalog.model import EntitlementGrant, FeatureKind
from sidecar.domain.company.model import Company, Subscription
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.shared.convert.catalog import catalog_to_message
from sidecar.shared.convert.snapshot_messages import snapshot_to_message
from sidecar.shared.convert.times import timestamp
from tests.support.build import DAY, catalog, limit, metered
from tests.unit.cli.fakes import FakeServer, tallyd

SOLD: Final = catalog(
    {
        "pro": [
            metered("calls", limit("monthly")),
            metered("tokens", limit("monthly"), limit("daily", window=DAY)),
            EntitlementGrant("days", config_value="30"),
        ]
    },
    {"sso": FeatureKind.BOOLEAN, "days": FeatureKind.CONFIG, "money": FeatureKind.CREDITS},
)
ACME: Final = Company("acme", subscription=Subscription("pro", 0))


@pytest.fixture
def plane(fake: FakeServer) -> FakeServer:
    """A plane with a catalog and a company, that grants whatever it is asked for."""
    fake.answers["GetCatalog"] = control_pb2.GetCatalogResponse(
        catalog=catalog_pb2.CatalogSnapshot(version=1, catalog=catalog_to_message(SOLD))
    )
    fake.answers["GetCompany"] = control_pb2.GetCompanyResponse(
        snapshot=snapshot_to_message(compile_snapshot(ACME, 1))
    )
    granted = catalog_pb2.EntitlementGrant(
        feature="tokens",
        limit_changes=[catalog_pb2.LimitChange(limit="monthly", amount=100, adds=True)],
        id="01",
    )
    fake.answers["GrantOverride"] = control_pb2.GrantOverrideResponse(
        revision=7, override=catalog_pb2.Override(entitlement=granted)
    )
    return fake


def granted(plane: FakeServer, *words: str) -> control_pb2.GrantOverrideRequest:
    """What the plane was asked to grant."""
    result = tallyd("grant", "acme", *words, "--control", plane.address)
    assert ExitCode.OK == result.exit_code, result.stderr
    request = plane.requests[-1]
    assert isinstance(request, control_pb2.GrantOverrideRequest)
    return request


@pytest.mark.parametrize(
    ("value", "amount", "adds"),
    [("+100", 100, True), ("5000", 5_000, False), ("5_000", 5_000, False), ("+1,000", 1_000, True)],
)
def test_an_amount_is_added_or_set(plane: FakeServer, value: str, amount: int, adds: bool) -> None:
    (change,) = granted(plane, "tokens", value, "--limit", "daily").entitlement.limit_changes
    assert ("daily", amount, adds) == (change.limit, change.amount, change.adds)


def test_a_limit_is_lifted(plane: FakeServer) -> None:
    request = granted(plane, "tokens", "unlimited", "--limit", "daily")
    assert not request.entitlement.limit_changes[0].HasField("amount")


def test_the_only_limit_need_not_be_named(plane: FakeServer) -> None:
    assert "monthly" == granted(plane, "calls", "+1").entitlement.limit_changes[0].limit


@pytest.mark.parametrize(("value", "adds"), [("+5_000", True), ("5000", False)])
def test_what_may_be_owed_is_changed(plane: FakeServer, value: str, adds: bool) -> None:
    entitlement = granted(plane, "money", value, "--overdraft").entitlement
    assert (5_000, adds) == (entitlement.overdraft_change.amount, entitlement.overdraft_change.adds)
    assert 0 == len(entitlement.limit_changes)


def test_a_rate_is_changed(plane: FakeServer) -> None:
    (change,) = granted(plane, "tokens", "+10", "--rate", "burst").entitlement.rate_changes
    assert ("burst", 10, True) == (change.rate, change.count, change.adds)


@pytest.mark.parametrize(("value", "on"), [("on", True), ("OFF", False), ("true", True)])
def test_a_switch_is_turned(plane: FakeServer, value: str, on: bool) -> None:
    assert on == granted(plane, "sso", value).entitlement.enabled


def test_a_value_is_given(plane: FakeServer) -> None:
    assert "60" == granted(plane, "days", "60").entitlement.config_value


def test_reason_end_and_id_go_along(plane: FakeServer) -> None:
    words = ("--reason", "promised", "--until", "2030-01-01", "--id", "t-7", "--dry-run")
    request = granted(plane, "calls", "+1", *words)
    assert ("promised", "t-7", True) == (request.reason, request.entitlement.id, request.dry_run)
    assert timestamp(1_893_456_000_000_000) == request.expires_at


def test_what_was_granted_is_told_with_its_id(plane: FakeServer) -> None:
    result = tallyd("grant", "acme", "calls", "+100", "--control", plane.address)
    assert "acme: calls: monthly: +100; granted as 01; revision 7\n" == result.stdout
    result = tallyd("grant", "acme", "calls", "+100", "--dry-run", "--control", plane.address)
    expected = "dry run, nothing was granted; would be: acme: calls: monthly: +100\n"
    assert expected == result.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("tokens", "+1"), "limit: tokens has several limits, name one by --limit: monthly, daily"),
        (("tokns", "+1"), "feature: the catalog has no feature 'tokns'; did you mean 'tokens'?"),
        (("calls", "lots"), "value: 'lots' is no amount such as +100, 5000 or unlimited"),
        (("calls", str(2**63)), f"value: '{2**63}' is no amount such as"),
        (("sso", "5"), "value: sso is on or off, not '5'"),
        (("calls", "unlimited", "--rate", "r"), "value: a rate is changed by a number"),
        (
            ("calls", "1", "--rate", "r", "--limit", "l"),
            "--limit, --rate and --overdraft exclude each other",
        ),
    ],
)
def test_what_cannot_be_meant_is_told_and_nothing_is_granted(
    plane: FakeServer, words: tuple[str, ...], message: str
) -> None:
    result = tallyd("grant", "acme", *words, "--control", plane.address)
    assert ExitCode.USAGE == result.exit_code
    assert message in result.stderr
    grants = [each for each in plane.requests if isinstance(each, control_pb2.GrantOverrideRequest)]
    assert [] == grants


def test_what_is_granted_is_listed(plane: FakeServer) -> None:
    more = catalog_pb2.LimitChange(limit="monthly", amount=5)
    overrides = [
        catalog_pb2.Override(
            entitlement=catalog_pb2.EntitlementGrant(feature="sso", enabled=True),
            expires_at=timestamp(1_000_000),
        ),
        catalog_pb2.Override(
            entitlement=catalog_pb2.EntitlementGrant(
                feature="tokens", limit_changes=[more], id="01"
            ),
            granted_at=timestamp(1_767_225_600_000_000),
            reason="promised",
        ),
    ]
    plane.answers["GetCompany"] = control_pb2.GetCompanyResponse(
        company=catalog_pb2.Company(
            id="acme", subscription=catalog_pb2.Subscription(plan="pro"), overrides=overrides
        )
    )
    lines = tallyd("grants", "acme", "--control", plane.address).stdout.splitlines()
    assert ["-", "sso", "on", "by file"] == [part.strip() for part in lines[1].split("  ") if part][
        :4
    ]
    assert " over " in lines[1]
    assert lines[2].startswith("01  tokens   monthly: 5  2026-01-01 00:00:00 UTC  it is revoked  ")
    assert lines[2].endswith("yes       promised")
    told = json.loads(tallyd("grants", "acme", "--control", plane.address, "--json").stdout)
    assert [False, True] == [each["in_force"] for each in told["overrides"]]


NO_SUCH: Final = "there is no limit 'per_month' of 'tokens' to change, but 'monthly', 'daily'"
EFFECTS: Final = {
    "nothing of it is there": (
        ["per_month"],
        "no effect",
        f"01: no effect: {NO_SUCH}",
    ),
    "a part of it is there": (
        ["monthly", "per_month"],
        "in part",
        f"01: in part: {NO_SUCH}",
    ),
    "all of it is there": (["monthly", "daily"], "yes", None),
}


@pytest.mark.parametrize(("names", "state", "why"), EFFECTS.values(), ids=EFFECTS)
def test_what_changes_nothing_is_told_so_instead_of_in_force(
    plane: FakeServer, names: list[str], state: str, why: str | None
) -> None:
    changes = [catalog_pb2.LimitChange(limit=name, amount=5, adds=True) for name in names]
    grant = catalog_pb2.EntitlementGrant(feature="tokens", limit_changes=changes, id="01")
    plane.answers["GetCompany"] = control_pb2.GetCompanyResponse(
        company=catalog_pb2.Company(
            id="acme",
            subscription=catalog_pb2.Subscription(plan="pro"),
            overrides=[catalog_pb2.Override(entitlement=grant)],
        )
    )
    _, row, *more = tallyd("grants", "acme", "--control", plane.address).stdout.splitlines()
    assert f"  {state}  " in row
    assert why == (" ".join(map(str.strip, more)) or None)
    told = json.loads(tallyd("grants", "acme", "--control", plane.address, "--json").stdout)
    assert [why is not None] == [bool(each["lacking"]) for each in told["overrides"]]


def test_nothing_that_was_granted_is_told_so(fake: FakeServer) -> None:
    fake.answers["GetCompany"] = control_pb2.GetCompanyResponse()
    result = tallyd("grants", "acme", "--control", fake.address)
    assert "acme was granted nothing of its own\n" == result.stdout


def test_what_is_taken_back_is_told(fake: FakeServer) -> None:
    entitlement = catalog_pb2.EntitlementGrant(feature="sso", enabled=True, id="01")
    fake.answers["RevokeOverride"] = control_pb2.RevokeOverrideResponse(
        revision=8, override=catalog_pb2.Override(entitlement=entitlement)
    )
    result = tallyd("revoke", "acme", "01", "--control", fake.address)
    assert "acme: no more sso: on; revision 8\n" == result.stdout
    (request,) = fake.requests
    assert ("acme", "01") == (request.company, request.id)
