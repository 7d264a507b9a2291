"""A request is held to the dimensions that its feature declares, whichever way it comes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.catalog.model import Catalog, Dimension
from sidecar.domain.errors import FieldError, InvalidInput
from sidecar.domain.limits.reasons import GrantMode
from tests.support.build import HARD, catalog, check, company, limit, metered
from tests.support.inside import Inside
from tests.support.method_calls import WAYS, call

PER_USER: Final = limit("per_user", 5, HARD, each=["user"])
DECLARED: Final = (
    Dimension("model", values=("large", "small")),
    Dimension("region"),
    Dimension("user", required=True),
)


def declaring(*dimensions: Dimension, on: Catalog | None = None) -> Catalog:
    content = on or catalog({"basic": [metered("calls", PER_USER), metered("other")]})
    features = tuple(
        replace(feature, dimensions=dimensions) if feature.key == "calls" else feature
        for feature in content.features
    )
    return replace(content, features=features)


CONTENT: Final = declaring(*DECLARED)

# what a request carries, the field at fault, what is said of it
REFUSED: Final[dict[str, tuple[Mapping[str, str], str, str]]] = {
    "one that is misspelt": (
        {"usr": "ann"},
        "dimensions[usr]",
        "the feature declares no such dimension; did you mean 'user'?",
    ),
    "one too many": (
        {"user": "ann", "shoe": "42"},
        "dimensions[shoe]",
        "the feature declares no such dimension",
    ),
    "none of those that must be there": (
        {},
        "dimensions[user]",
        "must be set, the feature requires it",
    ),
    "an empty one that must be there": (
        {"user": "", "model": "large"},
        "dimensions[user]",
        "must be set, the feature requires it (an empty value is none)",
    ),
    "an empty one of those that have values": (
        {"user": "ann", "model": ""},
        "dimensions[model]",
        "'' is none of its values",
    ),
    "another one alone": (
        {"region": "eu"},
        "dimensions[user]",
        "must be set, the feature requires it",
    ),
    "a value that there is not": (
        {"user": "ann", "model": "lrge"},
        "dimensions[model]",
        "'lrge' is none of its values; did you mean 'large'?",
    ),
    "several things: the undeclared first": (
        {"model": "huge", "zone": "b", "area": "c"},
        "dimensions[area]",
        "the feature declares no such dimension",
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("dimensions", "field", "message"), REFUSED.values(), ids=REFUSED)
async def test_what_departs_is_refused_by_name_and_nothing_is_counted(
    way: str, dimensions: Mapping[str, str], field: str, message: str
) -> None:
    sidecar = Inside(CONTENT, company("acme"))
    before = sidecar.contents()
    request = pb.CheckAndIncrementRequest(
        company="acme", feature="calls", quantity=1, dimensions=dimensions
    )
    if way in ("batch", "stream"):
        (outcome,) = await call(way, sidecar, request)
        assert outcome.error.field.endswith(field)
        assert outcome.error.message.endswith(message)
        assert "INVALID_ARGUMENT" == outcome.error.reason
    else:
        with pytest.raises(InvalidInput) as refused:
            await call(way, sidecar, request)
        assert (field, message) == (refused.value.field, refused.value.message)
    assert before == sidecar.contents()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "dimensions",
    [
        {"user": "ann"},
        {"user": "ann", "region": "anything"},
        {"user": "ann", "region": ""},
        {"user": "ann", "model": "small"},
    ],
    ids=str,
)
async def test_what_is_as_declared_is_let_pass(way: str, dimensions: Mapping[str, str]) -> None:
    sidecar = Inside(CONTENT, company("acme"))
    request = pb.CheckAndIncrementRequest(
        company="acme", feature="calls", quantity=1, dimensions=dimensions
    )
    (outcome,) = await call(way, sidecar, request)
    assert outcome.response.decision.allowed
    assert "" == outcome.response.decision.dimension_problem


def test_a_feature_that_declares_nothing_takes_any() -> None:
    sidecar = Inside(CONTENT, company("acme"))
    assert sidecar.decide(feature="other", dimensions={"shoe": "42"}).decision.allowed


def test_a_feature_that_declares_that_there_are_none_takes_none() -> None:
    content = declaring(on=catalog({"basic": [metered("calls", limit("monthly", 5))]}))
    sidecar = Inside(content, company("acme"))
    assert sidecar.decide().decision.allowed
    with pytest.raises(InvalidInput, match="no such dimension"):
        sidecar.decide(dimensions={"user": "ann"})


def test_explain_says_the_same() -> None:
    sidecar = Inside(CONTENT, company("acme"))
    with pytest.raises(InvalidInput, match="did you mean 'user'"):
        sidecar.explainer.explain(check(dimensions={"usr": "ann"}), sidecar.now_us)


def test_a_company_on_the_default_plan_is_held_to_it_too() -> None:
    content = replace(CONTENT, default_plan="basic")
    with pytest.raises(InvalidInput, match="did you mean 'user'"):
        Inside(content).decide(company="nobody", dimensions={"usr": "ann"})


def test_a_retry_gets_its_answer_though_the_declaration_has_changed_since() -> None:
    sidecar = Inside(catalog({"basic": [metered("calls", PER_USER)]}), company("acme"))
    first = sidecar.decide(key="k", dimensions={"usr": "ann"})
    sidecar.apply(CONTENT)
    again = sidecar.decide(key="k", dimensions={"usr": "ann"})
    assert again.replayed
    assert first.record_id == again.record_id
    with pytest.raises(FieldError, match="no such dimension"):
        sidecar.decide(key="another", dimensions={"usr": "ann"})


def test_in_a_change_over_it_is_let_pass_with_a_warning_and_counted_as_a_fault() -> None:
    sidecar = Inside(CONTENT, company("acme"), let_pass=True)
    answer = sidecar.decide(2, key="k", dimensions={"usr": "ann"})
    assert answer.decision.allowed
    expected = "dimensions[usr]: the feature declares no such dimension; did you mean 'user'?"
    assert expected == answer.decision.dimension_problem
    assert (
        expected == sidecar.decide(2, key="k", dimensions={"usr": "ann"}).decision.dimension_problem
    )
    asked = sidecar.question(dimensions={}).decision
    assert "dimensions[user]: must be set, the feature requires it" == asked.dimension_problem
    report = sidecar.decide(3, mode=GrantMode.RECORD_ONLY, dimensions={"user": "a", "model": "x"})
    assert "'x' is none of its values" in report.decision.dimension_problem
    assert 2 == len(sidecar.records())
    for fault in ("undeclared", "missing", "unknown_value"):
        name = "tallyd_dimension_problems_total"
        assert 1 == sidecar.metric(name, feature="calls", fault=fault)


def test_a_denial_for_want_of_quantity_stays_one_in_a_change_over() -> None:
    sidecar = Inside(CONTENT, company("acme"), let_pass=True)
    dimensions = {"user": "ann", "shoe": "42"}
    assert not sidecar.decide(6, dimensions=dimensions).decision.allowed
