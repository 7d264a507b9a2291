"""Catalog files that are right, in all the forms that the format allows."""

from pathlib import Path

import pytest

from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.catalog.model import (
    Catalog,
    Enforcement,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Plan,
    Scope,
)
from sidecar.domain.company.model import Company, Override, Subscription, SubscriptionStatus
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit
from sidecar.shared.catalog_file.load import load_catalog_file, parse_catalog
from tests.unit.shared.catalog_file.sample import SAMPLE

MONTH = WindowSpec(WindowUnit.MONTH)
JANUARY_31, JANUARY_1 = "2026-01-31T00:00:00Z", "2027-01-01T00:00:00Z"
JANUARY_31_2026_US = 1_769_817_600_000_000
JANUARY_1_2027_US = 1_798_761_600_000_000
NINE_HOURS_US = 9 * 3_600_000_000


def test_the_sample_becomes_domain_values_in_canonical_order(tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text(SAMPLE)
    monthly = Limit(
        "monthly",
        MONTH,
        100,
        scope=Scope(("user",), (("model", "large"),)),
        warning_percents=(50, 100),
    )

    loaded = load_catalog_file(path)

    assert loaded.catalog == Catalog(
        features=(
            Feature("days", FeatureKind.CONFIG),
            Feature("sso", FeatureKind.BOOLEAN),
            Feature("tokens", FeatureKind.METERED, unit="token"),
        ),
        plans=(
            Plan(
                "pro",
                entitlements=(
                    EntitlementGrant("days", config_value="30"),
                    EntitlementGrant("sso", enabled=True),
                    EntitlementGrant("tokens", limits=(monthly,)),
                ),
            ),
        ),
    )
    assert loaded.companies == (
        Company(
            "acme",
            time_zone="Europe/Berlin",
            subscription=Subscription("pro", JANUARY_31_2026_US),
            overrides=(Override(EntitlementGrant("sso", enabled=False), JANUARY_1_2027_US),),
        ),
    )


def limit_of(text: str) -> Limit:
    """Load one limit, written as a flow mapping."""
    loaded = parse_catalog(
        f"features: {{f: {{kind: metered}}}}\n"
        f"plans: {{p: {{entitlements: {{f: {{limits: {{l: {text}}}}}}}}}}}\n".encode(),
        "file",
    )
    return loaded.catalog.plans[0].entitlements[0].limits[0]


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("{amount: 0, per: month}", Limit("l", MONTH, 0)),
        ("{amount: 1_000_000, per: month}", Limit("l", MONTH, 1_000_000)),
        ("{amount: 9223372036854775807, per: month}", Limit("l", MONTH, 2**63 - 1)),
        ("{amount: 012, per: month}", Limit("l", MONTH, 12)),
        ("{amount: 0x10, per: month}", Limit("l", MONTH, 16)),
        ("{amount: unlimited, per: month}", Limit("l", MONTH, None)),
        ("{amount: 5, per: 1 month}", Limit("l", MONTH, 5)),
        ("{amount: 5, per: 3 months}", Limit("l", WindowSpec(WindowUnit.MONTH, 3), 5)),
        ("{amount: 5, per: {unit: month}}", Limit("l", MONTH, 5)),
        (
            "{amount: 5, per: {unit: minute, interval: 15}}",
            Limit("l", WindowSpec(WindowUnit.MINUTE, 15), 5),
        ),
        ("{amount: 5, per: lifetime}", Limit("l", WindowSpec(WindowUnit.LIFETIME), 5)),
        (
            "{amount: 5, per: lifetime, align: billing}",
            Limit("l", WindowSpec(WindowUnit.LIFETIME), 5),
        ),
        (
            "{amount: 5, per: month, align: billing}",
            Limit("l", WindowSpec(WindowUnit.MONTH, 1, Alignment.ANCHORED), 5),
        ),
        (
            "{amount: 5, per: 2 weeks, week_starts: sunday}",
            Limit("l", WindowSpec(WindowUnit.WEEK, 2, Alignment.CALENDAR, 6), 5),
        ),
        (
            "{amount: 5, per: month, enforcement: soft}",
            Limit("l", MONTH, 5, Enforcement.SOFT),
        ),
        (
            "{amount: 5, per: month, enforcement: shadow}",
            Limit("l", MONTH, 5, Enforcement.SHADOW),
        ),
        (
            "{amount: 5, per: month, each: [workspace, user]}",
            Limit("l", MONTH, 5, scope=Scope(("user", "workspace"))),
        ),
        (
            "{amount: 5, per: month, when: {version: 1.10, beta: no, tier: true}}",
            Limit(
                "l",
                MONTH,
                5,
                scope=Scope(match=(("beta", "no"), ("tier", "true"), ("version", "1.10"))),
            ),
        ),
        ("{amount: 5, per: month, warn_at: [0x32]}", Limit("l", MONTH, 5, warning_percents=(50,))),
    ],
)
def test_a_limit_in_each_of_its_forms(text: str, limit: Limit) -> None:
    assert limit == limit_of(text)


def grant_of(kind: str, text: str) -> EntitlementGrant:
    """Load one grant of a feature of this kind."""
    loaded = parse_catalog(
        f"features: {{f: {{kind: {kind}}}}}\n"
        f"plans: {{p: {{entitlements: {{f: {text}}}}}}}\n".encode(),
        "file",
    )
    return loaded.catalog.plans[0].entitlements[0]


@pytest.mark.parametrize(
    ("kind", "text", "grant"),
    [
        ("boolean", "true", EntitlementGrant("f", enabled=True)),
        ("boolean", "FALSE", EntitlementGrant("f", enabled=False)),
        ("boolean", "{value: true}", EntitlementGrant("f", enabled=True)),
        ("config", "30", EntitlementGrant("f", config_value="30")),
        ("config", "1.10", EntitlementGrant("f", config_value="1.10")),
        ("config", "no", EntitlementGrant("f", config_value="no")),
        ("config", "true", EntitlementGrant("f", config_value="true")),
        ("config", "12:30:00", EntitlementGrant("f", config_value="12:30:00")),
        ("config", "2026-01-31", EntitlementGrant("f", config_value="2026-01-31")),
        ("config", '"a\\nb"', EntitlementGrant("f", config_value="a\nb")),
        ("config", "''", EntitlementGrant("f", config_value="")),
        ("config", "{value: eu}", EntitlementGrant("f", config_value="eu")),
        ("metered", "unlimited", EntitlementGrant("f")),
        ("metered", "{limits: {}}", EntitlementGrant("f")),
    ],
)
def test_a_grant_in_each_of_its_forms(kind: str, text: str, grant: EntitlementGrant) -> None:
    assert grant == grant_of(kind, text)


def company_of(text: str) -> Company:
    """Load one company, written as a flow mapping."""
    loaded = parse_catalog(
        "features: {f: {kind: metered}}\nplans: {p: {}}\n"
        f"companies: {{c: {text}}}\n".encode(),
        "file",
    )
    return loaded.companies[0]


@pytest.mark.parametrize(
    ("text", "company"),
    [
        ("{}", Company("c")),
        ("{name: 2024}", Company("c", name="2024")),
        (
            "{plan: p, anchor: 2026-01-31T01:00:00+01:00}",
            Company("c", subscription=Subscription("p", JANUARY_31_2026_US)),
        ),
        (
            "{plan: p, time_zone: Asia/Tokyo, anchor: 2026-01-31, cancel_at: 2027-01-01}",
            Company(
                "c",
                time_zone="Asia/Tokyo",
                subscription=Subscription(
                    "p",
                    JANUARY_31_2026_US - NINE_HOURS_US,
                    cancel_us=JANUARY_1_2027_US - NINE_HOURS_US,
                ),
            ),
        ),
        (
            "{plan: p, anchor: '2026-01-31 00:00:00.000001z', cancel_at: 2027-01-01T00:00:00Z}",
            Company(
                "c",
                subscription=Subscription("p", JANUARY_31_2026_US + 1, cancel_us=JANUARY_1_2027_US),
            ),
        ),
        (
            "{plan: p, anchor: 2026-01-31T00:00:00Z, trial_ends_at: 2027-01-01T00:00:00Z}",
            Company(
                "c",
                subscription=Subscription(
                    "p",
                    JANUARY_31_2026_US,
                    JANUARY_1_2027_US,
                    trial_end_status=SubscriptionStatus.ENDED,
                ),
            ),
        ),
        (
            f"{{plan: p, anchor: {JANUARY_31}, trial_ends_at: {JANUARY_1}, after_trial: active}}",
            Company(
                "c",
                subscription=Subscription(
                    "p",
                    JANUARY_31_2026_US,
                    JANUARY_1_2027_US,
                    trial_end_status=SubscriptionStatus.ACTIVE,
                ),
            ),
        ),
        (
            "{overrides: {f: unlimited}}",
            Company("c", overrides=(Override(EntitlementGrant("f"), FOREVER_US),)),
        ),
    ],
)
def test_a_company_in_each_of_its_forms(text: str, company: Company) -> None:
    assert company == company_of(text)


def test_keys_are_texts_as_written() -> None:
    loaded = parse_catalog(
        b"features:\nplans: {1.0: {}, true: {}, null: {}, 0x1F: {}}\n"
        b"companies: {10.0.0.1: {}, 007: {}}\n",
        "file",
    )

    assert ["0x1F", "1.0", "null", "true"] == [plan.key for plan in loaded.catalog.plans]
    assert ["007", "10.0.0.1"] == [company.id for company in loaded.companies]


def test_sections_may_be_empty() -> None:
    loaded = parse_catalog(b"features:\nplans: {}\ncompanies:\n", "file")

    assert Catalog() == loaded.catalog
    assert () == loaded.companies


def test_anchors_give_a_value_to_several_places() -> None:
    loaded = parse_catalog(
        b"x-limits: &basic\n  limits: {l: {amount: 5, per: day}}\n"
        b"features: {a: {kind: metered}, b: {kind: metered}}\n"
        b"plans: {p: {entitlements: {a: *basic, b: *basic}}}\n",
        "file",
    )

    first, second = loaded.catalog.plans[0].entitlements
    assert first.limits == second.limits == (Limit("l", WindowSpec(WindowUnit.DAY), 5),)


def test_a_byte_order_mark_is_skipped() -> None:
    assert Catalog() == parse_catalog("\ufefffeatures: {}\nplans: {}".encode(), "file").catalog
