"""Which declarations of dimensions refuse what callers may have sent until now."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.catalog.model import Catalog, Dimension, Feature, FeatureKind
from sidecar.domain.difference.stricter_dimensions import stricter_dimensions

MODEL: Final = Dimension("model", values=("large", "small"))
MUST: Final = Dimension("team", required=True)
TEAM: Final = Dimension("team")
USER: Final = Dimension("user")
Declared = tuple[Dimension, ...] | None


def declaring(dimensions: Declared, key: str = "projects") -> Catalog:
    return Catalog((Feature("calls", FeatureKind.METERED), _feature(key, dimensions)))


def _feature(key: str, dimensions: Declared) -> Feature:
    return Feature(key, FeatureKind.METERED, dimensions=dimensions)


STRICTER: Final = {
    "a first one": (None, (TEAM,), "brings a dimension other than 'team'"),
    "that there are none": (None, (), "brings dimensions"),
    "a first one that is required": (
        None,
        (MUST, USER),
        "lacks 'team', or brings a dimension other than 'team' or 'user'",
    ),
    "first values": (
        None,
        (MODEL,),
        "brings a dimension other than 'model', or brings a 'model' other than 'large' or 'small'",
    ),
    "required from now on": ((TEAM,), (MUST,), "lacks 'team'"),
    "a new one that is required": ((USER,), (USER, MUST), "lacks 'team'"),
    "one less": ((USER, TEAM), (USER,), "brings 'team'"),
    "another name": ((Dimension("usr"),), (USER,), "brings 'usr'"),
    "a value less": (
        (MODEL,),
        (Dimension("model", values=("small",)),),
        "brings a 'model' other than 'small'",
    ),
    "another value": (
        (MODEL,),
        (Dimension("model", values=("large", "tiny")),),
        "brings a 'model' other than 'large' or 'tiny'",
    ),
    "many names": (
        tuple(map(Dimension, "abcdefg")),
        (),
        "brings 'a' or 'b' or 'c' or 'd' or 'e' or 2 more",
    ),
}


@pytest.mark.parametrize(("before", "after", "refused"), STRICTER.values(), ids=STRICTER)
def test_what_is_refused_from_now_on_is_told(
    before: Declared, after: Declared, refused: str
) -> None:
    ((path, message),) = stricter_dimensions(declaring(before), declaring(after))
    assert ("features", 1) == path
    assert message.startswith(f"a request for 'projects' that {refused} is refused from now on")
    assert "RecordUsage" in message
    assert 'dimension_problems = "warn"' in message


NOT_STRICTER: Final = {
    "the same": ((MODEL, USER), (USER, MODEL)),
    "required no more": ((MUST,), (TEAM,)),
    "one more": ((USER,), (USER, MODEL)),
    "a value more": ((Dimension("model", values=("small",)),), (MODEL,)),
    "any value": ((MODEL,), (Dimension("model"),)),
    "no declaration any more": ((MUST, MODEL), None),
    "none before and after": (None, None),
}


@pytest.mark.parametrize(("before", "after"), NOT_STRICTER.values(), ids=NOT_STRICTER)
def test_what_refuses_nothing_is_not_told(before: Declared, after: Declared) -> None:
    assert [] == list(stricter_dimensions(declaring(before), declaring(after)))


def test_a_feature_that_is_new_is_not_told() -> None:
    assert [] == list(stricter_dimensions(declaring(None, "other"), declaring((MUST,))))
