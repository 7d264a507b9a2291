"""What `apply` says of limits that count something else than before."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from msgspec.structs import replace

from sidecar.control.services import apply, recounting
from sidecar.control.services.apply import Desired
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    EntitlementGrant,
    FeatureKind,
    Limit,
    LimitChange,
    Plan,
)
from sidecar.domain.catalog.plan_terms import ExistingCompanies
from sidecar.domain.company.model import AddOnSubscription, Override
from sidecar.domain.errors import InvalidInput
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit
from sidecar.domain.validation import field_path_text
from sidecar.shared import catalog_file
from sidecar.shared.catalog_file.load import parse_catalog
from tests.unit.control.support import CATALOG, NOW_US, company

MONTHLY = Limit("monthly", WindowSpec(WindowUnit.MONTH), 100)
BILLING = replace(MONTHLY, window=WindowSpec(WindowUnit.MONTH, alignment=Alignment.ANCHORED))
README = Path(catalog_file.__file__).with_name("README.md")
PLACE = ("plans", 1, "entitlements", 0, "limits", 0)


def selling(limit: Limit) -> Catalog:
    pro = Plan("pro", entitlements=(EntitlementGrant("tokens", limits=(limit,)),))
    return replace(CATALOG, plans=(Plan("free"), pro))


def held(limit: Limit) -> Override:
    return Override(EntitlementGrant("tokens", limits=(limit,)))


@pytest.mark.parametrize(
    ("companies", "told"),
    [
        pytest.param(["a"], "for 1 company (", id="one"),
        pytest.param(["a", "b", "c"], "for 3 companies (", id="several"),
    ],
)
def test_a_changed_alignment_is_told_with_who_has_it(
    store: PlaneStore, companies: list[str], told: str
) -> None:
    given = (*map(company, companies), company("other", "free"))
    apply.apply(store, Desired(selling(MONTHLY), given), NOW_US)
    for answer in (
        apply.preview(store, Desired(selling(BILLING)), NOW_US),
        apply.apply(store, Desired(selling(BILLING)), NOW_US),
    ):
        ((path, message),) = answer.warnings
        assert ("catalog", *PLACE) == path
        assert message.startswith("limit 'monthly' of 'tokens' in plan 'pro' counts otherwise")
        assert told in message
        assert "(MONTH CALENDAR -> MONTH ANCHORED)" in message
    assert () == apply.apply(store, Desired(selling(BILLING)), NOW_US).warnings


@pytest.mark.parametrize("existing", [ExistingCompanies.KEEP, ExistingCompanies.MOVE_AT_PERIOD_END])
def test_companies_that_keep_their_version_for_now_count_as_before(
    store: PlaneStore, existing: ExistingCompanies
) -> None:
    apply.apply(store, Desired(selling(MONTHLY), (company("a"),)), NOW_US)
    free, pro = selling(BILLING).plans
    changed = replace(CATALOG, plans=(free, replace(pro, existing=existing)))
    assert () == apply.apply(store, Desired(changed), NOW_US).warnings


@pytest.mark.parametrize(
    ("holders", "told"),
    [
        pytest.param([], None, id="nobody holds one"),
        pytest.param(["a"], "packs that are held begin anew for 1 company", id="one"),
        pytest.param(["a", "b"], "packs that are held begin anew for 2 companies", id="several"),
    ],
)
def test_packs_that_begin_anew_are_told_with_who_holds_them(
    store: PlaneStore, holders: list[str], told: str | None
) -> None:
    more = EntitlementGrant("tokens", limit_changes=(LimitChange("monthly", 50, adds=True),))
    pack = AddOn("pack", entitlements=(AddOnEntitlement(more),), plans=("pro",), once=True)
    given = [company(name) for name in ("a", "b", "c")]
    for at, each in enumerate(given):
        if each.id in holders:
            assert each.subscription is not None
            subscription = replace(each.subscription, add_ons=(AddOnSubscription("pack", 2),))
            given[at] = replace(each, subscription=subscription)
    before, after = (replace(selling(limit), add_ons=(pack,)) for limit in (MONTHLY, BILLING))
    apply.apply(store, Desired(before, tuple(given)), NOW_US)
    ((_, message),) = apply.preview(store, Desired(after), NOW_US).warnings
    assert (told is not None) == ("packs" in message)
    assert (told or "") in message


@pytest.mark.parametrize(
    ("kind", "becomes"),
    [
        (
            FeatureKind.CREDITS,
            "it grants its amount anew in the window of now, whatever",
        ),
        (FeatureKind.SEATS, "who has a seat of before has none in the windows of now until it is"),
    ],
)
def test_what_becomes_of_it_is_told_by_kind(
    store: PlaneStore, kind: FeatureKind, becomes: str
) -> None:
    features = tuple(
        replace(each, kind=kind, dimensions=None) if each.key == "tokens" else each
        for each in CATALOG.features
    )
    before, after = (replace(selling(limit), features=features) for limit in (MONTHLY, BILLING))
    apply.apply(store, Desired(before, (company("a"),)), NOW_US)
    ((_, message),) = apply.preview(store, Desired(after), NOW_US).warnings
    assert becomes in message
    override = Override(EntitlementGrant("tokens", limits=(BILLING,)))
    assert becomes in _of_override(store, before, override)


def _of_override(store: PlaneStore, catalog: Catalog, override: Override) -> str:
    """What is said where a company's own limit comes to count otherwise."""
    own = replace(company("b"), overrides=(held(MONTHLY),))
    apply.apply(store, Desired(catalog, (own,)), NOW_US)
    changed = replace(own, overrides=(override,))
    ((_, message),) = apply.preview(store, Desired(companies=(changed,)), NOW_US).warnings
    return message


def test_a_kind_stays_where_there_are_limits(store: PlaneStore) -> None:
    apply.apply(store, Desired(selling(MONTHLY), (company("a"),)), NOW_US)
    features = tuple(
        replace(each, kind=FeatureKind.CREDITS, dimensions=None) if each.key == "tokens" else each
        for each in CATALOG.features
    )
    with pytest.raises(InvalidInput) as refused:
        apply.apply(store, Desired(replace(selling(MONTHLY), features=features)), NOW_US)
    at = [each.key for each in features].index("tokens")
    assert f"catalog.features[{at}].kind" == refused.value.field
    assert "give the new feature another key" in refused.value.message


def test_a_limit_that_nobody_has_is_not_told(store: PlaneStore) -> None:
    apply.apply(store, Desired(selling(MONTHLY), (company("other", "free"),)), NOW_US)
    assert () == apply.apply(store, Desired(selling(BILLING)), NOW_US).warnings


def test_of_very_many_companies_a_part_is_counted(
    store: PlaneStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recounting, "COUNTED_MAX", 2)
    monkeypatch.setattr(recounting, "_PAGE", 2)
    given = tuple(map(company, "abc"))
    apply.apply(store, Desired(selling(MONTHLY), given), NOW_US)
    ((_, message),) = apply.apply(store, Desired(selling(BILLING)), NOW_US).warnings
    assert "for 2 companies or more (" in message


def test_an_override_is_told_for_its_company(store: PlaneStore) -> None:
    before = replace(company("a"), overrides=(held(MONTHLY),))
    apply.apply(store, Desired(CATALOG, (company("b"), before)), NOW_US)
    after = replace(before, overrides=(held(BILLING),))
    ((path, message),) = apply.apply(store, Desired(None, (company("b"), after)), NOW_US).warnings
    assert ("companies", 1, "overrides", 0, "entitlement", "limits", 0) == path
    assert "in override counts otherwise from now on, for 'a' (" in message


def test_the_readme_shows_the_warning_of_its_example(store: PlaneStore) -> None:
    text = README.read_text().partition("## Limits that count otherwise")[2]
    (example, warning) = re.findall(r"^```(?:yaml|text)\n(.*?)^```$", text, re.M | re.S)[:2]
    limit, _, before = re.search(r"monthly: (\{.*?\})(.*)# was: (\{.*\})", example).groups()  # type: ignore[union-attr]  # it is there
    companies = tuple(company(f"c{number}") for number in range(12))
    was = parse_catalog(example.replace(limit, before).encode(), "before")
    apply.apply(store, Desired(was.catalog, companies), NOW_US)
    now = parse_catalog(example.encode(), "after")
    told = apply.apply(store, Desired(now.catalog), NOW_US).warnings
    places = [now.placed(field_path_text(path), message) for path, message in told]
    assert warning.strip() in [f"warning: {each.text('catalog.yaml')}" for each in places if each]
