"""What features may declare, and which requests a limit with several fixed values is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.catalog.dimensions import DeclaredDimensions
from sidecar.domain.catalog.model import (
    Catalog,
    Dimension,
    Enforcement,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Plan,
    Scope,
)
from sidecar.domain.catalog.rules import problems
from sidecar.domain.catalog.warnings import warnings
from sidecar.domain.limits.counters import scope_values, slot_of
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit
from tests.support.build import DAY, limit

MODELS: Final = Dimension("model", values=("large", "small"))
USER: Final = Dimension("user", required=True)


def told(limit: Limit, *dimensions: Dimension) -> list[tuple[str, str]]:
    """Last steps of where it is wrong, and what is said."""
    content = Catalog(
        (Feature("calls", FeatureKind.METERED, dimensions=dimensions),),
        (Plan("pro", entitlements=(EntitlementGrant("calls", limits=(limit,)),)),),
    )
    return [(".".join(map(str, path[-2:])), message) for path, message in problems(content)]


def test_limits_count_by_what_is_declared() -> None:
    scoped = Limit("l", DAY, 5, scope=Scope(("user",), (("model", "large"),)))
    assert [] == told(scoped, MODELS, USER)


WRONG: Final = {
    "each of another dimension": (
        limit("l", 5, each=["usr"]),
        [("dimensions.0", "the feature declares no dimension 'usr'; did you mean 'user'?")],
    ),
    "another fixed dimension": (
        limit("l", 5, match={"modle": "large"}),
        [("match.modle", "the feature declares no dimension 'modle'; did you mean 'model'?")],
    ),
    "a value that there is not": (
        limit("l", 5, match={"model": "larg"}),
        [
            (
                "match.model",
                "the feature declares no value 'larg' of model; did you mean 'large'?",
            )
        ],
    ),
    "an amount for an empty value of one that is required": (
        Limit("l", DAY, 5, scope=Scope(("user",)), amounts=(("", 9),)),
        [("0.value", "the feature requires user, and an empty value is none")],
    ),
    "an empty value of one that is required": (
        limit("l", 5, match={"user": ""}),
        [("match.user", "the feature requires user, and an empty value is none")],
    ),
    "an amount for a value that there is not": (
        Limit("l", DAY, 5, scope=Scope(("model",)), amounts=(("huge", 9),)),
        [("0.value", "the feature declares no value 'huge' of model")],
    ),
}


@pytest.mark.parametrize(("scoped", "expected"), WRONG.values(), ids=WRONG)
def test_a_limit_by_what_is_not_declared_is_refused(
    scoped: Limit, expected: list[tuple[str, str]]
) -> None:
    assert expected == told(scoped, MODELS, USER)


LISTED_AND_REQUIRED: Final = Dimension("model", required=True, values=("large", "small"))
SHADOW: Final = Limit(
    "l", DAY, 5, enforcement=Enforcement.SHADOW, scope=Scope((), (("model", "large"),))
)


@pytest.mark.parametrize(
    ("dimension", "scoped", "warned"),
    [
        (MODELS, limit("l", 5, match={"model": "large"}), True),
        (MODELS, limit("l", 5, each=["model"]), True),
        (MODELS, SHADOW, False),
        (MODELS, limit("l", 5), False),
        (LISTED_AND_REQUIRED, limit("l", 5, match={"model": "large"}), False),
        (Dimension("model"), limit("l", 5, each=["model"]), False),
    ],
    ids=["when", "each", "denies nothing", "for all", "required", "said to be optional"],
)
def test_listed_values_that_may_be_left_out_are_warned_of_where_a_limit_denies_by_them(
    dimension: Dimension, scoped: Limit, warned: bool
) -> None:
    content = Catalog(
        (Feature("calls", FeatureKind.METERED, dimensions=(dimension,)),),
        (Plan("pro", entitlements=(EntitlementGrant("calls", limits=(scoped,)),)),),
    )
    message = (
        "'model' is optional: a request without it is not held to l; say {required: true, "
        "values: [...]} where that is to hold for all"
    )
    path = ("features", 0, "dimensions", "dimensions", 0)
    assert [(path, message)] * warned == list(warnings(content))


def test_a_limit_for_each_request_has_no_billing_cycle() -> None:
    window = WindowSpec(WindowUnit.REQUEST, alignment=Alignment.ANCHORED)
    assert [("window.alignment", "each request stands by itself, and has no cycle")] == told(
        Limit("l", window, 5)
    )


def test_a_feature_that_is_not_counted_declares_none() -> None:
    content = Catalog((Feature("sso", FeatureKind.BOOLEAN, dimensions=(USER,)),))
    assert ["only METERED and LEVEL features have dimensions, 'sso' is BOOLEAN"] == [
        message for _, message in problems(content)
    ]


def test_a_dimension_or_a_value_that_is_declared_twice_is_refused() -> None:
    twice = (USER, USER, Dimension("zone", values=("a", "b", "a")))
    content = Catalog((Feature("calls", FeatureKind.METERED, dimensions=twice),))
    assert ["'a' is here twice", "'user' is here twice"] == [
        message for _, message in problems(content)
    ]


def test_a_feature_whose_limits_go_by_what_it_does_not_declare_is_warned_of() -> None:
    grant = EntitlementGrant("calls", limits=(limit("l", 5, each=["user"], match={"zone": "eu"}),))
    plans = (Plan("pro", entitlements=(grant,)),)
    silent = Feature("calls", FeatureKind.METERED)
    ((path, message),) = warnings(Catalog((silent,), plans))
    assert ("features", 0) == path
    assert message.startswith("limits go by user, zone, and dimensions are not declared")
    declares = Feature("calls", FeatureKind.METERED, dimensions=(USER, Dimension("zone")))
    assert [] == list(warnings(Catalog((declares,), plans)))


SEVERAL: Final = Scope(("user",), (("model", "large"), ("model", "small"), ("zone", "eu")))
APPLIES: Final = [
    ({"user": "ann", "model": "large", "zone": "eu"}, ("ann",)),
    ({"user": "ann", "model": "small", "zone": "eu"}, ("ann",)),
    ({"user": "ann", "model": "huge", "zone": "eu"}, None),
    ({"user": "ann", "model": "small", "zone": "us"}, None),
    ({"user": "ann", "model": "small"}, None),
    ({"user": "ann", "zone": "eu"}, None),
    ({"model": "small", "zone": "eu"}, None),
]


@pytest.mark.parametrize(("dimensions", "expected"), APPLIES, ids=str)
def test_a_limit_on_several_values_is_about_any_of_them(
    dimensions: Mapping[str, str], expected: tuple[str, ...] | None
) -> None:
    assert expected == scope_values(SEVERAL, dimensions)


def test_a_counter_of_several_values_is_named_by_all() -> None:
    several = Limit("l", DAY, 5, scope=SEVERAL)
    assert "DAY/1/CALENDAR|user|model=large,model=small,zone=eu" == slot_of(several)


_NAMES: Final = st.sampled_from(["user", "usr", "model", "zone"])
_VALUES: Final = st.sampled_from(["ann", "large", "small", "eu", ""])
_PAIRS: Final = st.lists(st.tuples(_NAMES, _VALUES), max_size=5, unique=True)


@given(_PAIRS, st.dictionaries(_NAMES, _VALUES))
def test_every_fixed_name_needs_one_of_its_values(
    pairs: list[tuple[str, str]], dimensions: dict[str, str]
) -> None:
    wanted: dict[str, set[str]] = {}
    for name, value in pairs:
        wanted.setdefault(name, set()).add(value)
    applies = all(dimensions.get(name) in values for name, values in wanted.items())
    assert applies == (scope_values(Scope(match=tuple(sorted(pairs))), dimensions) is not None)


_DECLARED: Final = st.lists(
    st.builds(Dimension, _NAMES, st.booleans(), st.sampled_from([(), ("ann", "large"), ("eu",)])),
    max_size=4,
    unique_by=lambda dimension: dimension.name,
)


@given(_DECLARED, st.dictionaries(_NAMES, _VALUES))
def test_what_is_accepted_has_no_problem_and_skips_no_limit_of_required_dimensions(
    declared: list[Dimension], dimensions: dict[str, str]
) -> None:
    rule = DeclaredDimensions(declared)
    accepted = rule.accept(dimensions)
    assert accepted == (rule.problem(dimensions) is None)
    known = {dimension.name: dimension for dimension in declared}
    assert accepted == (
        all(name in known for name in dimensions)
        and all(not known[n].values or v in known[n].values for n, v in dimensions.items())
        and all(dimensions.get(each.name) for each in declared if each.required)
    )
    required = tuple(sorted(each.name for each in declared if each.required))
    if accepted:
        assert scope_values(Scope(required), dimensions) is not None
