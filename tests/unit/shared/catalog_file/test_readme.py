"""The examples in the README of catalog files are right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sidecar.shared import catalog_file
from tests.unit.shared.catalog_file.sample import problems_of

README = Path(catalog_file.__file__).with_name("README.md")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
WHOLE = [block for block in BLOCKS if block.startswith("features:")]


@pytest.mark.parametrize("example", WHOLE, ids=range(len(WHOLE)))
def test_an_example_that_is_a_whole_file_is_right(example: str) -> None:
    assert problems_of(example) == []


def test_what_is_sold_and_to_whom_are_one_file() -> None:
    sold, bought = (block for block in BLOCKS if block.startswith(("default_plan:", "companies:")))
    assert problems_of(sold + bought) == []
