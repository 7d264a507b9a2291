"""A catalog that is split over files and folders, and files with companies alone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest

from sidecar.domain.catalog.model import Catalog
from sidecar.shared.catalog_file import several
from sidecar.shared.catalog_file.load import (
    CatalogFile,
    CatalogFileError,
    load_catalog_file,
    load_catalog_files,
    parse_catalog,
    read_catalog_sources,
)

FEATURES: Final = "features: {sso: {kind: boolean}, tokens: {kind: metered}}\n"
PRO: Final = "plans: {pro: {entitlements: {sso: true}}}\n"
MAX: Final = "plans: {max: {extends: pro, entitlements: {tokens: unlimited}}}\ndefault_plan: max\n"
ACME: Final = "companies: {acme: {plan: pro, anchor: 2026-01-01T00:00:00Z}}\n"
SOLD: Final = parse_catalog((FEATURES + PRO).encode(), "sold").catalog


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"a.yaml": FEATURES + PRO, "b.yml": MAX, "c.yaml": ACME}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def lines_of(sources: dict[str, str], *, sold: Catalog | None = None) -> list[str]:
    """The problems of files that are read as one."""
    data = [(name, text.encode()) for name, text in sources.items()]
    with pytest.raises(CatalogFileError) as caught:
        read_catalog_sources(data, None if sold is None else lambda: sold)
    return caught.value.lines()


def same(one: CatalogFile, other: CatalogFile) -> bool:
    return (one.catalog, one.companies) == (other.catalog, other.companies)


def test_files_of_a_folder_are_one_catalog_whatever_their_order(folder: Path) -> None:
    (folder / "notes.txt").write_text("not: [a catalog")
    (folder / ".hidden.yaml").write_text("not: [a catalog")
    (folder / "deeper.yaml").mkdir()
    whole = load_catalog_file(folder)
    assert (["max", "pro"], "max", ["acme"]) == (
        [plan.key for plan in whole.catalog.plans],
        whole.catalog.default_plan,
        [company.id for company in whole.companies],
    )
    files = [folder / name for name in ("c.yaml", "b.yml", "a.yaml")]
    assert same(whole, load_catalog_files(files))
    assert same(whole, load_catalog_files([folder, *files]))  # each is read once
    one = parse_catalog((FEATURES + PRO.rstrip()[:-1] + ", " + MAX[8:] + ACME).encode(), "one")
    assert same(whole, one)


def test_what_two_files_name_is_refused_with_both_places() -> None:
    more = "default_plan: pro\n" + PRO + "x-own: 1\ncompanies:\n  acme: {plan: nope}\n"
    told = lines_of({"a": FEATURES + PRO + "default_plan: pro\nx-own: 2\n" + ACME, "b": more})
    assert [
        "b:1:1: default_plan: is here twice; the first is in a:3:1",
        "b:2:9: plans.pro: is here twice; the first is in a:2:9",
        "b:5:3: companies.acme: is here twice; the first is in a:5:13",
    ] == told


def test_each_problem_names_its_file() -> None:
    wrong = {
        "a": FEATURES + "plans: {pro: {entitlements: {sso: 7}}, pro: {}}\n",
        "b": "companies:\n  acme: {plan: pr, anchor: 2026-01-01T00:00:00Z}\n  <>: {time_zone: X}\n",
    }
    assert [
        "a:2:35: plans.pro.entitlements.sso: must be true or false, sso is boolean; is 7",
        "a:2:40: plans.pro: is here twice; the first is in line 2",
        "b:2:16: companies.acme.plan: the catalog has no plan 'pr'; did you mean 'pro'?",
        "b:3:19: companies.\"<>\".time_zone: unknown time zone 'X'",
    ] == lines_of(wrong)


def test_a_section_of_the_wrong_shape_is_told_beside_one_that_is_right() -> None:
    assert ["b:1:1: plans: is here twice; the first is in a:2:1"] == lines_of(
        {"a": FEATURES + PRO, "b": "plans: [pro]\n"}
    )


def test_an_alias_is_of_its_own_file() -> None:
    told = lines_of({"a": FEATURES + PRO, "b": "x-p: &p {plan: nope}\ncompanies: {acme: *p}\n"})
    assert all(line.startswith("b:") for line in told)


def test_empty_sections_stand_beside_full_ones() -> None:
    sources = {"a": "features:\nplans:\ncompanies:\n", "b": FEATURES + PRO + ACME}
    read = read_catalog_sources((name, text.encode()) for name, text in sources.items())
    assert ["acme"] == [company.id for company in read.companies]


def test_companies_alone_are_held_to_the_catalog_that_there_is() -> None:
    read = read_catalog_sources([("c", ACME.encode())], lambda: SOLD)
    assert (False, SOLD) == (read.has_catalog, read.catalog)
    assert ["acme"] == [company.id for company in read.companies]
    wrong = ACME[:-3] + ", overrides: {ss: true, tokens: true}}}\n"
    first, second = lines_of({"c": wrong}, sold=SOLD)
    path = "companies.acme.overrides"
    assert f"c:1:73: {path}.ss: the catalog has no feature 'ss'; did you mean 'sso'?" == first
    assert second.startswith(f"c:1:91: {path}.tokens: must be limits, rates or unlimited")


def test_companies_alone_need_a_catalog() -> None:
    assert ["c:1:1: features: is missing", "c:1:1: plans: is missing"] == lines_of({"c": ACME})


@pytest.mark.parametrize("text", ["x-a: 1\n", "{}\n"])
def test_nothing_at_all_is_no_catalog(text: str) -> None:
    assert ["c:1:1: features: is missing", "c:1:1: plans: is missing"] == lines_of(
        {"c": text}, sold=SOLD
    )


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(CatalogFileError, match=r"has no \*\.yaml files"):
        load_catalog_file(tmp_path)


def test_a_folder_that_cannot_be_read_is_told(folder: Path) -> None:
    with pytest.raises(CatalogFileError, match="cannot be read"):
        load_catalog_files([folder / "none.yaml", folder])


def test_there_is_a_bound_on_files_and_on_all_that_they_hold(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(several, "FILES_MAX", 2)
        with pytest.raises(CatalogFileError, match="are 3 files; at most 2 are read"):
            load_catalog_file(folder)
    monkeypatch.setattr("sidecar.shared.catalog_file.load.FILE_BYTES_MAX", 130)
    with pytest.raises(CatalogFileError, match=f"b.yml{os.linesep}|larger than 130 bytes"):
        load_catalog_file(folder)


def test_folders_within_a_folder_are_told_unless_they_are_named(folder: Path) -> None:
    for within in ("eu", "us", ".git", "notes"):
        (folder / within).mkdir()
        name = "notes.txt" if within == "notes" else "more.yaml"
        (folder / within / name).write_text("x-note: one\n")
    content = load_catalog_files([folder, folder / "us"])
    (warning,) = content.warnings
    told = f"{folder / 'eu'}: is not read, as a folder within a folder: name it as well"
    assert told == warning.text(content.source)


def test_only_regular_files_of_a_folder_are_read(folder: Path) -> None:
    os.mkfifo(folder / "x.yaml")
    (folder / "y.yaml").symlink_to(folder / "eu.txt")
    (folder / "eu.txt").write_text("companies: {hooli: {plan: max}}")
    assert ["acme", "hooli"] == [company.id for company in load_catalog_file(folder).companies]
    (folder / "eu.txt").unlink()
    with pytest.raises(CatalogFileError, match="cannot be read"):
        load_catalog_file(folder)


NOTHING_SAID: Final = {
    "a comment": "# all customers have left\n",
    "comments of another system": "\ufeff---\r\n\r\n  # one\r\n# two",
}


@pytest.mark.parametrize("text", NOTHING_SAID.values(), ids=NOTHING_SAID)
def test_a_file_with_comments_alone_has_nothing_to_say_beside_others(
    folder: Path, text: str
) -> None:
    whole = load_catalog_file(folder)
    (folder / "team.yaml").write_bytes(text.encode())
    assert same(whole, load_catalog_file(folder))
    alone = {"a.yaml": text, "b.yaml": text}
    (told,) = lines_of(alone, sold=SOLD)
    assert told.startswith("a.yaml:")
    assert told.endswith("is empty")


@pytest.mark.parametrize("text", ["", "\n", "---\n"])
def test_an_empty_file_is_refused_also_beside_others(text: str) -> None:
    assert 1 == len(lines_of({"a.yaml": FEATURES + PRO, "cut.yaml": text}))
