"""The check of names finds what it is there to find, and nothing else."""

from __future__ import annotations

import pytest

from tests.lint.names import classes_with_one_name, retired_names


@pytest.mark.parametrize(
    "source",
    [
        "lineage = 1",
        "def begin_lineage(): ...",
        "class LineageHead: ...",
        "x.standing",
        "f(standing=1)",
        "def f(gauges): ...",
        "from a.b import read_gauges",
        "LINEAGES_MAX = 1",
        "company.taken_up()",
        "class Place: ...",
    ],
)
def test_a_retired_word_is_found_wherever_a_name_may_be(source: str) -> None:
    assert 1 == len(list(retired_names("sidecar/storage/x.py", source)))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("sidecar/shared/ops/metrics.py", "GaugeMetricFamily"),
        ("sidecar/api/sync/v1/x.py", "lineage = 1"),
        ("sidecar/storage/x.py", "text = 'lineage'"),
        ("sidecar/storage/x.py", "outstanding = replaced = 1"),
    ],
)
def test_what_only_looks_like_one_is_left_alone(path: str, source: str) -> None:
    assert [] == list(retired_names(path, source))


def test_two_public_classes_with_one_name_are_found() -> None:
    sources = [
        ("sidecar/storage/a.py", "class Head: ...\nclass _Own: ..."),
        ("sidecar/sync/b.py", "class Head: ...\nclass _Own: ..."),
        ("sidecar/front/c.py", "class Head: ..."),
        ("tests/d.py", "class Head: ..."),
    ]

    assert [
        "Head: a class of this name in each of sidecar/storage/a.py, sidecar/sync/b.py"
    ] == list(classes_with_one_name(sources))
