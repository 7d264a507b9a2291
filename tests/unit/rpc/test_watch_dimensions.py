"""A watch is held to the dimensions that the features it watches declare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.domain.catalog.model import Dimension, EntitlementGrant, FeatureKind
from sidecar.domain.errors import InvalidInput
from tests.support.build import DAY, HARD, catalog, company, limit, metered
from tests.unit.rpc.watch_bench import Bench

_SOLD: Final = catalog(
    {
        "basic": [
            metered("calls", limit("per_user", 5, HARD, DAY, each=["user"])),
            metered("files", limit("large", 5, HARD, DAY, match={"model": "large"})),
            EntitlementGrant("sso", enabled=True),
        ],
        "free": [metered("calls", limit("daily", 5, HARD, DAY)), metered("notes")],
    },
    {"sso": FeatureKind.BOOLEAN},
)
_DECLARED: Final = {
    "calls": (Dimension("user", required=True), Dimension("model", values=("large", "small"))),
    "files": (Dimension("model", values=("large", "tiny")), Dimension("zone")),
}
CONTENT: Final = replace(
    _SOLD,
    features=tuple(
        replace(feature, dimensions=_DECLARED.get(feature.key)) for feature in _SOLD.features
    ),
)

REFUSED: Final[dict[str, tuple[Sequence[str], Mapping[str, str], str, str]]] = {
    "a misspelt one": (
        ["calls"],
        {"usr": "ann"},
        "dimensions[usr]",
        "no feature that is watched declares it; did you mean 'user'?",
    ),
    "a misspelt one among good ones": (
        ["calls", "files"],
        {"user": "ann", "zones": "eu"},
        "dimensions[zones]",
        "no feature that is watched declares it; did you mean 'zone'?",
    ),
    "one of another feature": (
        ["calls"],
        {"zone": "eu"},
        "dimensions[zone]",
        "no feature that is watched declares it",
    ),
    "a value that none has": (
        ["calls", "files"],
        {"model": "tinny"},
        "dimensions[model]",
        "'tinny' is none of its values; did you mean 'tiny'?",
    ),
    "an empty one that is required": (
        ["calls"],
        {"user": ""},
        "dimensions[user]",
        "must have a value: a feature that is watched requires it",
    ),
    "without features, all that the company is entitled to": (
        [],
        {"usr": "ann"},
        "dimensions[usr]",
        "no feature that is watched declares it; did you mean 'user'?",
    ),
}


@pytest.mark.parametrize(
    ("features", "dimensions", "field", "message"), REFUSED.values(), ids=REFUSED
)
async def test_a_dimension_that_no_watched_feature_takes_is_refused(
    features: Sequence[str], dimensions: Mapping[str, str], field: str, message: str
) -> None:
    bench = Bench(company(), content=CONTENT)
    with pytest.raises(InvalidInput) as refused:
        await bench.watch(*features, dimensions=dimensions).next()
    assert (field, message) == (refused.value.field, refused.value.message)
    assert not bench.watchlist


TAKEN: Final[dict[str, tuple[Sequence[str], Mapping[str, str]]]] = {
    "none, for the limits of the company as a whole": (["calls"], {}),
    "those of two features together": (["calls", "files"], {"user": "ann", "zone": "eu"}),
    "a value that one of two has": (["calls", "files"], {"model": "tiny"}),
    "any beside a feature that declares nothing": (["calls", "notes"], {"shoe": "42"}),
    "any where nothing is counted": (["sso"], {"usr": "ann"}),
    "those of a metered feature beside one that is not": (["calls", "sso"], {"user": "ann"}),
}


@pytest.mark.parametrize(("features", "dimensions"), TAKEN.values(), ids=TAKEN)
async def test_what_a_watched_feature_takes_is_watched(
    features: Sequence[str], dimensions: Mapping[str, str]
) -> None:
    stream = Bench(company(), content=CONTENT).watch(*features, dimensions=dimensions)
    assert [f"CURRENT {feature}" for feature in features] == await stream.told(len(features))


async def test_in_a_change_over_any_is_watched() -> None:
    bench = Bench(company(), content=CONTENT, let_pass=True)
    stream = bench.watch("calls", dimensions={"usr": "ann"})
    assert ["CURRENT calls"] == await stream.told(1)
