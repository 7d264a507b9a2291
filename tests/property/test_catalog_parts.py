"""A catalog in parts is the whole catalog again, and no part is large."""

from __future__ import annotations

from typing import Final
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Plan,
)
from sidecar.domain.catalog.versions import all_versions
from sidecar.storage import catalog_parts
from sidecar.storage.catalog_parts import joined, parts_of
from tests.support.build import limit, rate_limit

_KEYS: Final = st.lists(st.sampled_from("abcdefghij"), unique=True, max_size=6)
_GRANTS: Final = st.builds(
    lambda key, limits, rates: EntitlementGrant(
        key,
        limits=tuple(limit(f"limit {n}") for n in range(limits)),
        rates=tuple(rate_limit(f"rate {n}") for n in range(rates)),
    ),
    st.sampled_from("abc"),
    st.integers(0, 3),
    st.integers(0, 2),
)


def _grants() -> st.SearchStrategy[tuple[EntitlementGrant, ...]]:
    return st.lists(_GRANTS, max_size=12).map(tuple)


_CATALOGS: Final = st.builds(
    lambda features, plans, add_ons, default_plan, versions: Catalog(
        tuple(Feature(key, FeatureKind.METERED) for key in features),
        tuple(Plan(key, f"name of {key}", grants) for key, grants in plans.items()),
        tuple(
            AddOn(key, "", 3, tuple(map(AddOnEntitlement, grants)))
            for key, grants in add_ons.items()
        ),
        default_plan,
        tuple(
            Plan(key, "", grants, version) for (key, version), grants in sorted(versions.items())
        ),
    ),
    _KEYS,
    st.dictionaries(st.sampled_from("abcdef"), _grants()),
    st.dictionaries(st.sampled_from("abcdef"), _grants()),
    st.sampled_from(["", "a"]),
    st.dictionaries(st.tuples(st.sampled_from("abc"), st.integers(0, 2)), _grants()),
)


@given(_CATALOGS, st.integers(1, 12))
def test_parts_make_the_whole_again(content: Catalog, weight: int) -> None:
    with patch.object(catalog_parts, "PART_WEIGHT", weight):
        parts = list(parts_of(content))
    assert content == joined(parts)
    most = weight + 7  # a grant more, in a plan or an add-on that goes on from the part before
    assert all(weight_of(part) <= most for part in parts)


def weight_of(part: Catalog) -> int:
    """Everything in a part that has to be written."""
    grants = [grant for plan in all_versions(part) for grant in plan.entitlements]
    grants += [given.grant for add_on in part.add_ons for given in add_on.entitlements]
    ceilings = sum(1 + len(grant.limits) + len(grant.rates) for grant in grants)
    plans = len(list(all_versions(part)))
    return len(part.features) + plans + len(part.add_ons) + ceilings
