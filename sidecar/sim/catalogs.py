"""The catalog in force at a step, and what is read by it: the catalog file's own rules, reused.

What a scenario holds of a catalog file is put into a tree as such a file has it, read by the same
code, and what is wrong with it is told with its place in the scenario.
"""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path as FilePath

from sidecar.domain.catalog.model import Catalog
from sidecar.domain.company.model import Company, Override
from sidecar.domain.formatting import instant_text
from sidecar.shared.catalog_file.load import CatalogFile, catalog_of_tree, read_bytes, tree_of
from sidecar.shared.catalog_file.problems import (
    CatalogFileError,
    FilePosition,
    FileProblem,
    Path,
    path_text,
)
from sidecar.shared.catalog_file.yaml_tree import Listing, Node, Scalar, Table
from sidecar.sim.instants import ScenarioClock
from sidecar.sim.model import CUSTOMER
from sidecar.sim.patches import moved, patched


class CatalogInForce:
    """The catalog, step after step. Raises `CatalogFileError` for what is wrong with it."""

    def __init__(self, source: str, folder: FilePath, node: Node) -> None:
        self._source = source
        self._folder = folder
        self._file = CatalogFile(Catalog(), ())
        self._root = Table(node.at)
        self.plan = ""
        """The plan held, as far as the file tells: overrides are read beside it."""
        self.warnings: list[str] = []
        """What of the catalogs is likely not meant so, with its place, as problems are told."""
        self.replace(("catalog",), node)

    @property
    def content(self) -> Catalog:
        """The catalog itself."""
        return self._file.catalog

    def replace(self, path: Path, node: Node) -> None:
        """Take another catalog, of a file or written here as a whole."""
        if isinstance(node, Scalar):
            source = str(self._folder / node.text)
            root, problems = tree_of(read_bytes(source), source, "features and plans")
            self._is_of_file = True
            self._file = catalog_of_tree(root, source, problems)
            self.warnings += [warning.text(source) for warning in self._file.warnings]
        else:
            assert isinstance(node, Table)
            root = node
            self._is_of_file = False
            self._file = self._read(root, path, node.at)
            self._warn(path)
        self._root = root

    def change(self, path: Path, node: Node) -> None:
        """Take over what a mapping says, as a patch; or another catalog, of a file."""
        if isinstance(node, Scalar):
            self.replace(path, node)
            return
        assert isinstance(node, Table)
        # Of what another file says the place is here, in the scenario.
        base = moved(self._root, node.at) if self._is_of_file else self._root
        merged = patched(base, node)
        merged.entries.pop("companies", None)
        self._is_of_file = False
        known = {warning.message for warning in self._file.warnings}
        self._file = self._read(merged, path, node.at)
        self._warn(path, known)
        self._root = merged

    def company(self, node: Node, clock: ScenarioClock) -> Company:
        """The company that the scenario is about."""
        if isinstance(node, Scalar):
            company = self.company_of_file(node)
        else:
            company = self._company(("company",), _with_instants(node, clock, clock.starts_us))
        self.plan = "" if company.subscription is None else company.subscription.plan
        return company

    def company_of_file(self, node: Scalar) -> Company:
        """The company with this id in the catalog's file."""
        for company in self._file.companies:
            if company.id == node.text:
                return company
        message = f"the catalog has no company {node.text!r}"
        raise CatalogFileError(self._source, [FileProblem(node.at, "company", message)])

    def overrides(
        self, path: Path, node: Node, clock: ScenarioClock, now_us: int, below: Path = ()
    ) -> tuple[Override, ...]:
        """What a company's overrides say, with instants counted from now.

        `path`: of what stands `below` them, in the scenario.
        """
        fields: dict[str, Node] = {
            "overrides": node,
            "time_zone": Scalar(node.at, clock.time_zone, quoted=True),
        }
        if self.plan:
            fields["plan"] = Scalar(node.at, self.plan, quoted=True)
            fields["anchor"] = Scalar(node.at, instant_text(now_us), quoted=True)
        holder = Table(node.at, fields, dict.fromkeys(fields, node.at))
        company = self._company(path, _with_instants(holder, clock, now_us), ("overrides", *below))
        return company.overrides

    def _warn(self, path: Path, known: Container[str] = ()) -> None:
        for warning in self._file.warnings:
            if warning.message not in known:
                field = f"{path_text(path)}.{warning.field}"
                self.warnings.append(warning._replace(field=field).text(self._source))

    def _company(self, path: Path, node: Node, below: Path = ()) -> Company:
        """Read a company. `path`: of what stands `below` it, in the scenario."""
        root = Table(self._root.at, dict(self._root.entries), dict(self._root.keys))
        root.entries["companies"] = Table(node.at, {CUSTOMER: node}, {CUSTOMER: node.at})
        root.keys["companies"] = node.at
        prefix = path_text(("companies", CUSTOMER, *below))
        (company,) = self._read(root, path, node.at, prefix).companies
        return company

    def _read(self, root: Table, path: Path, at: FilePosition, prefix: str = "") -> CatalogFile:
        """Read a tree; of problems that lie elsewhere than here the place is `at`."""
        try:
            return catalog_of_tree(root, self._source)
        except CatalogFileError as error:
            problems = [_translated(problem, path, at, prefix) for problem in error.problems]
            raise CatalogFileError(self._source, problems) from None


def _translated(problem: FileProblem, path: Path, at: FilePosition, prefix: str) -> FileProblem:
    """A problem of a tree, told of the scenario's field that it came from."""
    field = path_text(path)
    if prefix and problem.field.startswith(prefix):
        return problem._replace(field=field + problem.field[len(prefix) :])
    if prefix:  # the catalog alone was found good: the company makes it a problem
        return FileProblem(at, field, f"{problem.field}: {problem.message}")
    return problem._replace(field=f"{field}.{problem.field}" if problem.field else field)


def _with_instants(node: Node, clock: ScenarioClock, before_us: int) -> Node:
    """A company with instants as a catalog file has them; what is none is left as it is."""
    if isinstance(node, Listing):
        items = [_with_instants(item, clock, before_us) for item in node.items]
        return Listing(node.at, items, node.size)
    if not isinstance(node, Table):
        return node
    entries: dict[str, Node] = {}
    for name, entry in node.entries.items():
        if isinstance(entry, Scalar) and _holds_an_instant(name):
            entries[name] = _absolute(entry, clock, before_us)
        else:
            entries[name] = _with_instants(entry, clock, before_us)
    return Table(node.at, entries, node.keys, node.size)


def _holds_an_instant(name: str) -> bool:
    return name in ("anchor", "at", "since") or name.endswith("_at")


def _absolute(node: Scalar, clock: ScenarioClock, before_us: int) -> Scalar:
    if clock.is_absolute(node.text):
        return node
    try:
        text = instant_text(clock.instant(node.text, before_us))
    except ValueError:
        return node  # the catalog file's rules say what is wrong with it
    return Scalar(node.at, text, node.quoted, node.size)
