"""A hundred mistakes in the catalog of an AI product: what is told of each, word for word.

The table is `mistakes.yaml`; that of credits, seats and levels is `kind_mistakes.yaml`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from sidecar.shared.catalog_file.load import CatalogFileError, parse_catalog

HERE: Final = Path(__file__).parent
CATALOGS: Final = {
    name: (HERE / f"{name}_catalog.yaml").read_text() for name in ("mistakes", "kind_mistakes")
}
MISTAKES: Final[dict[str, list[dict[str, Any]]]] = {
    name: yaml.safe_load((HERE / f"{name}.yaml").read_text()) for name in CATALOGS
}
_PLACE: Final = re.compile(r"[1-9][0-9]*:[1-9][0-9]*: .+")


def test_there_are_a_hundred_of_them_and_without_one_the_catalog_is_right() -> None:
    assert len({mistake["mistake"] for mistake in MISTAKES["mistakes"]}) >= 100
    for catalog in CATALOGS.values():
        assert () == parse_catalog(catalog.encode(), "catalog").warnings


@pytest.mark.parametrize(
    ("name", "mistake"),
    [
        pytest.param(name, each, id=each["mistake"])
        for name, mistakes in MISTAKES.items()
        for each in mistakes
    ],
)
def test_a_mistake_is_told_with_its_place_its_cause_and_the_nearest_word(
    name: str, mistake: dict[str, Any]
) -> None:
    assert mistake["of"] in CATALOGS[name]
    text = CATALOGS[name].replace(mistake["of"], mistake["makes"], 1)
    with pytest.raises(CatalogFileError) as refused:
        parse_catalog(text.encode(), "catalog")
    told = [line.removeprefix("catalog:") for line in refused.value.lines()]
    assert mistake["told"] == told
    assert all(_PLACE.fullmatch(line) for line in told)
