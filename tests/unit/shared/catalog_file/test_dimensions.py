"""Declared dimensions in a catalog file: what is read, and what is told of what is wrong."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.catalog.model import Dimension
from sidecar.shared.catalog_file.load import parse_catalog
from tests.unit.shared.catalog_file.sample import SAMPLE, problems_after

KIND: Final = "{kind: metered, unit: token}"


def declaring(text: str) -> str:
    return f"{{kind: metered, unit: token, dimensions: {text}}}"


READ: Final = {
    "{user: required}": (Dimension("user", required=True),),
    "{user: optional}": (Dimension("user"),),
    "{model: [large, small]}": (Dimension("model", values=("large", "small")),),
    "{model: {required: true, values: [large, 4]}, user: {}}": (
        Dimension("model", True, ("large", "4")),
        Dimension("user"),
    ),
    "{}": (),
}


@pytest.mark.parametrize(("text", "expected"), READ.items(), ids=READ)
def test_declarations_are_read(text: str, expected: tuple[Dimension, ...]) -> None:
    source = SAMPLE.replace(KIND, declaring(text))
    source = source.replace("each: [user]", "").replace("when: {model: large}", "")
    features = {each.key: each for each in parse_catalog(source.encode(), "f").catalog.features}
    assert expected == features["tokens"].dimensions
    assert features["sso"].dimensions is None


MONTHLY: Final = "plans.pro.entitlements.tokens.limits.monthly"
TOLD: Final = {
    "{user: needed, model: optional}": (
        "2:59: features.tokens.dimensions.user: must be required, optional, a list of values, or "
        "a mapping of both, is 'needed'"
    ),
    "{user: required, model: []}": (
        "2:69: features.tokens.dimensions.model: must not be an empty list"
    ),
    "{user: required, model: [large, large]}": (
        "2:69: features.tokens.dimensions.model: 'large' is here twice"
    ),
    "{usr: required, model: optional}": (
        f"13:20: {MONTHLY}.each[0]: the feature declares no dimension 'user'; did you mean 'usr'?"
    ),
    "{user: required, model: [small, larger]}": (
        f"14:27: {MONTHLY}.when.model: the feature declares no value 'large' of model; "
        "did you mean 'larger'?"
    ),
}


@pytest.mark.parametrize(("text", "expected"), TOLD.items(), ids=TOLD)
def test_what_is_wrong_is_told_with_its_place(text: str, expected: str) -> None:
    assert [expected] == problems_after(KIND, declaring(text))


def test_only_what_is_counted_has_dimensions() -> None:
    (found,) = problems_after("sso: {kind: boolean}", "sso: {kind: boolean, dimensions: {}}")
    assert "only METERED and LEVEL features have dimensions, 'sso' is BOOLEAN" in found
