"""What the README of catalog files says of its examples is so: each is resolved, and decides."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.catalog.model import Across, EntitlementGrant, FailAction
from sidecar.domain.company.model import AddOnSubscription, Segment, SubscriptionStatus
from sidecar.domain.company.timeline import compile_snapshot, segment_at
from sidecar.domain.entitlement.resolve import CatalogIndex, Entitlement
from sidecar.domain.limits.value_amounts import limit_of_values
from sidecar.shared.catalog_file.load import CatalogFile, CatalogFileError, parse_catalog
from sidecar.shared.instants import instant_of_text
from tests.unit.shared.catalog_file.test_readme import WHOLE

MAY: Final = instant_of_text("2026-05-01T00:00:00Z")
JULY: Final = instant_of_text("2026-07-01T00:00:00Z")


def example(word: str) -> CatalogFile:
    (block,) = (block for block in WHOLE if word in block)
    return parse_catalog(block.encode(), "README.md")


def resolved(file: CatalogFile, segment: Segment) -> Entitlement:
    found = CatalogIndex(file.catalog, 1).resolve(segment, "tokens")
    assert found is not None
    return found


def bought(plan: str, **held: int) -> Segment:
    add_ons = tuple(AddOnSubscription(key, quantity) for key, quantity in held.items())
    return Segment(status=SubscriptionStatus.ACTIVE, plan=plan, add_ons=add_ons)


def amounts(entitlement: Entitlement | EntitlementGrant) -> dict[str, int | None]:
    return {limit.id: limit.amount for limit in entitlement.limits}


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        pytest.param(
            bought("pro", pack=2), {"monthly": 9_000_000, "daily": 500_000}, id="two packs"
        ),
        pytest.param(
            bought("pro", faster=1), {"monthly": 5_000_000, "daily": 600_000}, id="a limit by name"
        ),
        pytest.param(bought("free", tokens_for_free=1), {"monthly": 10_000}, id="brings a feature"),
    ],
)
def test_what_is_bought_is_added(segment: Segment, expected: dict[str, int | None]) -> None:
    assert expected == amounts(resolved(example("tokens_for_free"), segment))


@pytest.mark.parametrize(
    ("segment", "expected"),
    [
        pytest.param(bought("free", starter=1), 100, id="what is brought"),
        pytest.param(bought("free", starter=1, bundle=1), 150, id="and replaced on top"),
        pytest.param(bought("free", bundle=1, studio=1), 5_000, id="and replaced again"),
    ],
)
def test_of_add_ons_alone_buying_more_is_never_less(segment: Segment, expected: int) -> None:
    assert {"monthly": expected} == amounts(resolved(example("starter:"), segment))


def test_an_add_on_that_would_be_less_than_another_one_is_refused() -> None:
    (block,) = (block for block in WHOLE if "starter:" in block)
    assert parse_catalog(block.replace("5_000", "50").encode(), "README.md").catalog.add_ons
    with pytest.raises(CatalogFileError) as refused:
        parse_catalog(block.replace("5_000", "49").encode(), "README.md")
    (line,) = refused.value.lines()
    assert line.startswith("README.md:12:55: add_ons.studio.entitlements.tokens.limits.monthly: ")
    assert "grants less than limit 'monthly' (50, HARD) of add-on 'bundle'" in line


def test_a_rate_is_added_to_by_name() -> None:
    (rate,) = resolved(example("tokens_for_free"), bought("pro", faster=2)).rates
    assert (200, 200) == (rate.rate.count, rate.rate.burst)


@pytest.mark.parametrize(
    ("company", "at_us", "expected"),
    [
        pytest.param("acme", MAY, {"monthly": 1_100_000, "daily": 80_000}, id="until it ends"),
        pytest.param("acme", JULY, {"monthly": 1_000_000, "daily": 50_000}, id="when it ended"),
        pytest.param("globex", MAY, {"weekly": 400_000}, id="replaced"),
    ],
)
def test_an_override_changes_what_it_names(
    company: str, at_us: int, expected: dict[str, int | None]
) -> None:
    file = example("the migration takes longer")
    (held,) = (each for each in file.companies if each.id == company)
    found = resolved(file, segment_at(compile_snapshot(held, 1), at_us))
    assert expected == amounts(found)
    if company == "acme":
        assert found.limits[0].rollover is not None


@pytest.mark.parametrize(("user", "amount"), [("ann", 100), ("vip", 500), ("ci", None)])
def test_a_value_has_its_own_amount(user: str, amount: int | None) -> None:
    (limit,) = resolved(example("amounts: {ci"), bought("pro")).limits
    assert amount == limit_of_values(limit, (user,)).amount


def test_a_limit_is_exact_across_sidecars_unless_it_says_otherwise() -> None:
    file = example("across: eventual")
    limits = {limit.id: limit for limit in resolved(file, bought("pro")).limits}
    assert {"monthly": Across.EXACT, "per_minute": Across.EVENTUAL} == {
        name: limit.across for name, limit in limits.items()
    }
    assert ["monthly"] == [name for name, limit in limits.items() if limit.is_leased]
    actions = {feature.key: feature.fail_policy.no_lease for feature in file.catalog.features}
    assert {"searches": FailAction.ALLOW, "tokens": FailAction.DENY} == actions
