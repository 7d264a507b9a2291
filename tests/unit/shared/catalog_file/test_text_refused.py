"""Texts that are no catalog file at all, or hide something: refused with the place."""

from pathlib import Path

import pytest
import yaml

from sidecar.shared.catalog_file import yaml_tree
from sidecar.shared.catalog_file.load import (
    FILE_BYTES_MAX,
    CatalogFileError,
    load_catalog_file,
    parse_catalog,
)
from sidecar.shared.catalog_file.problems import PROBLEMS_MAX
from tests.unit.shared.catalog_file.sample import SAMPLE, problems_after, problems_of

CASES = [
    ("empty", "", ["1:1: is empty"]),
    ("only_a_comment", "# nothing\n", ["1:1: is empty"]),
    ("a_text", "hello", ["1:1: must be a mapping with features and plans, is 'hello'"]),
    ("a_list", "- a", ["1:1: must be a mapping with features and plans, is a list"]),
    ("a_second_document", "a: 1\n---\nb: 2", ["2:1: a second document; a file holds one"]),
    ("unprintable", "a: \x01\n", ["1:4: the character U+0001 is not allowed in YAML"]),
    ("merge_key", "<<: {}\n", ["1:1: merge keys (<<) are not supported; use aliases as values"]),
    ("tag", "a: !ruby/object x\n", ["1:4: a: tags such as '!ruby/object' are not supported"]),
    ("python_tag", "a: !!python/name:os.system\n", [
        "1:4: a: tags such as 'tag:yaml.org,2002:python/name:os.system' are not supported"
    ]),
    ("unknown_alias", "a: *x\n", ["1:4: a: *x has no complete anchor &x before it"]),
    ("alias_in_itself", "a: &x [*x]\n", ["1:8: a[0]: *x has no complete anchor &x before it"]),
    ("key_is_a_list", "? [a]\n: 1\n", ["1:3: a key must be a text"]),
    ("key_twice_by_alias", "&k a: 1\n*k : 2\n", [
        "1:1: a: is here twice; the first is in line 1",
        "1:1: a: is not a field here; known are features, plans, add_ons, default_plan, companies",
        "1:1: features: is missing",
        "1:1: plans: is missing",
    ]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "problems"), [pytest.param(*c[1:], id=c[0]) for c in CASES])
def test_a_text_that_is_no_catalog_is_refused(text: str, problems: list[str]) -> None:
    assert problems == problems_of(text)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("features: {a: [1, 2\nplans: 3", "2:6"),
        ("a: b: c", "1:5"),
        ("\ta: 1", "1:1"),
        ("a: 'open", "1:9"),
        ("a: 1\n b: 2", "2:3"),
    ],
)
@pytest.mark.parametrize("with_libyaml", [True, False])
def test_a_syntax_error_is_told_with_its_place(
    monkeypatch: pytest.MonkeyPatch, text: str, place: str, with_libyaml: bool
) -> None:
    if not with_libyaml:
        monkeypatch.setattr(yaml_tree, "_EVENTS_OF", yaml.BaseLoader)

    (problem,) = problems_of(text)

    assert problem.startswith(f"{place}: not YAML: ")


def test_bytes_that_are_no_utf8_are_told_with_their_place() -> None:
    with pytest.raises(CatalogFileError) as caught:
        parse_catalog(b"a: 1\nb: \xff\n", "file")

    assert ["file:2:4: is not UTF-8 from here on"] == caught.value.lines()


def test_aliases_that_multiply_are_cut_short() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 10):
        aliases = ", ".join([f"*a{level - 1}"] * 9)
        lines.append(f"a{level}: &a{level} [{aliases}]")

    (problem,) = problems_of("\n".join(lines))

    assert problem.endswith("more than 1000000 values, with aliases written out")


def test_depth_is_bounded() -> None:
    (problem,) = problems_of("[" * 100)

    assert problem.endswith("nested deeper than 50 levels")


def test_size_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_bytes(b"#" * (FILE_BYTES_MAX + 1))

    with pytest.raises(CatalogFileError) as caught:
        load_catalog_file(path)

    assert [f"{path}: is larger than {FILE_BYTES_MAX} bytes"] == caught.value.lines()


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = tmp_path / "none.yaml"

    with pytest.raises(CatalogFileError) as caught:
        load_catalog_file(path)

    assert [f"{path}: cannot be read: No such file or directory"] == caught.value.lines()


def test_all_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    text = (
        SAMPLE.replace("kind: boolean", "kind: bool")
        .replace("amount: 100", "amount: -5")
        .replace("[user]", "[user, user]")
        .replace("plan: pro", "plan: basic")
        .replace("Europe/Berlin", "Mars/Base")
    )

    assert [line.split(": ")[0] for line in problems_of(text)] == [
        "3:15",
        "11:21",
        "13:26",
        "20:16",
        "21:11",
    ]


def test_the_number_of_problems_told_is_bounded() -> None:
    companies = "".join(f"  c{number}: 1\n" for number in range(60))

    lines = problems_after("companies:\n", f"companies:\n{companies}")

    assert PROBLEMS_MAX + 1 == len(lines)
    assert " and 10 more" == lines[-1]


def test_what_a_broken_feature_or_plan_is_called_still_counts() -> None:
    assert ["2:3: features.tokens.kind: is missing"] == problems_after("kind: metered, ", "")
    assert ["6:3: plans.pro: must be a mapping, is empty"] == problems_of(
        SAMPLE[: SAMPLE.index("    entitlements:")] + SAMPLE[SAMPLE.index("companies:") :]
    )
