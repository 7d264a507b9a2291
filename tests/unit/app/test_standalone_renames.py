"""A file that renames a company, read by a sidecar that is on its own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from sidecar.app.standalone import load_standalone
from sidecar.directory.directory import Directory
from sidecar.domain.bounds import COMPANY_NAMES_MAX
from sidecar.domain.company.model import CompanySnapshot
from sidecar.shared.catalog_file.load import CatalogFileError
from tests.support.build import NOW_US
from tests.support.stores import MemoryDisk, OpenedStore

FILE: Final = """
features: {calls: {kind: metered}}
plans: {pro: {}}
companies:
"""
ACME: Final = "  acme: {plan: pro}\n"
RENAMED: Final = "  acme-inc: {plan: pro, renamed_from: acme}\n"
OTHER: Final = "  globex: {plan: pro}\n"


class Sidecar:
    """The store of a sidecar, started again and again."""

    def __init__(self, folder: Path) -> None:
        self._path, self._disk = folder / "catalog.yaml", MemoryDisk()

    def load(self, companies: str) -> None:
        self._path.write_text(FILE + companies)
        opened = OpenedStore(self._disk)
        directory = Directory(opened.snapshots, 10)
        load_standalone(str(self._path), opened.snapshots, directory, NOW_US)

    def held(self, company: str) -> CompanySnapshot | None:
        return OpenedStore(self._disk).snapshots.company(company)


def test_it_keeps_its_first_id_and_is_found_by_each(tmp_path: Path) -> None:
    sidecar = Sidecar(tmp_path)
    for companies in (ACME, RENAMED, RENAMED, "  acme-inc: {plan: pro}\n"):
        sidecar.load(companies)
    for name in ("acme", "acme-inc"):
        held = sidecar.held(name)
        assert held is not None
        assert ("acme", ("acme-inc",), 2) == (held.company, held.names, held.version)


def test_in_a_new_store_it_is_a_company_of_its_new_id(tmp_path: Path) -> None:
    sidecar = Sidecar(tmp_path)
    sidecar.load(RENAMED)
    held = sidecar.held("acme-inc")
    assert held is not None
    assert ("acme-inc", ()) == (held.company, held.names)


@pytest.mark.parametrize(
    ("first", "then", "told"),
    [
        (ACME, ACME + RENAMED, "'acme' is here, too"),
        (RENAMED, ACME + "  acme-inc: {plan: pro}\n", None),
        (ACME + OTHER, OTHER[:-2] + ", renamed_from: acme}\n", "there is another 'globex'"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    tmp_path: Path, first: str, then: str, told: str | None
) -> None:
    sidecar = Sidecar(tmp_path)
    sidecar.load(first)
    if told is None:  # both are companies of their own there
        sidecar.load(then)
        return
    with pytest.raises(CatalogFileError) as refused:
        sidecar.load(then)
    assert told in "".join(refused.value.lines())


def test_two_ids_of_one_company_are_refused(tmp_path: Path) -> None:
    sidecar = Sidecar(tmp_path)
    sidecar.load(ACME)
    sidecar.load(RENAMED)
    with pytest.raises(CatalogFileError) as refused:
        sidecar.load(ACME + "  acme-inc: {plan: pro}\n")
    assert "'acme' and 'acme-inc' are ids of one company" in "".join(refused.value.lines())


def test_it_may_be_renamed_so_often_and_not_more(tmp_path: Path) -> None:
    sidecar = Sidecar(tmp_path)
    sidecar.load("  c0: {plan: pro}\n")
    for number in range(1, COMPANY_NAMES_MAX + 1):
        sidecar.load(f"  c{number}: {{plan: pro, renamed_from: c{number - 1}}}\n")
    with pytest.raises(CatalogFileError, match="which is all"):
        sidecar.load(f"  more: {{plan: pro, renamed_from: c{COMPANY_NAMES_MAX}}}\n")
