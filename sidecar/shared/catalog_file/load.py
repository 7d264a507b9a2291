"""Reads a catalog file: text, shape, values, rules; every problem is told with its place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path as FilePath
from typing import Final, TypeAlias

from sidecar.domain.catalog import rules
from sidecar.domain.catalog.canonical import canonical_catalog, canonical_company
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.catalog.warnings import WARNINGS_MAX, warnings
from sidecar.domain.company.model import Company
from sidecar.domain.validation import RuleProblem
from sidecar.shared.catalog_file import yaml_tree
from sidecar.shared.catalog_file.build import Builder, cut_out
from sidecar.shared.catalog_file.locations import found, located
from sidecar.shared.catalog_file.problems import NOWHERE, CatalogFileError, FileProblem, Finding
from sidecar.shared.catalog_file.schema_check import shape_findings, told
from sidecar.shared.catalog_file.several import (
    SourceTree,
    files_of,
    has_comments_alone,
    joined_trees,
    unread_folders,
)

__all__ = [
    "FILE_BYTES_MAX",
    "CatalogFile",
    "CatalogFileError",
    "catalog_of_tree",
    "load_catalog_file",
    "load_catalog_files",
    "parse_catalog",
    "read_bytes",
    "read_catalog_sources",
    "tree_of",
    "with_unread_folders",
]

FILE_BYTES_MAX: Final = 16 * 1024 * 1024
_FINDINGS_MAX: Final = 1000
"""Most that each check looks for: enough to tell how bad it is, and soon done."""
_CATALOG_SECTIONS: Final = ("features", "plans", "add_ons", "default_plan")

_STEPS: Final = re.compile(r"\w+")

SoldElsewhere: TypeAlias = Callable[[], Catalog]
"""Tells the catalog that companies are held to."""
PlaceOfField: TypeAlias = Callable[[str, str], FileProblem | None]
"""Finds where files say what a field of the API is about, for a message."""


@dataclass(frozen=True, slots=True)
class CatalogFile:
    """What files say, in canonical order: companies are sorted by id.

    `source`: the files' names, for messages. `warnings`: what is taken, and is likely not meant so;
    in the order of the files. `has_catalog`: whether they say what is sold; else the companies fit
    the catalog, which is another's. `placed`: where the files say what a field of the API is about,
    such as `companies[3].subscription.plan`; `None` for one that they do not have.
    """

    catalog: Catalog
    companies: tuple[Company, ...]
    warnings: tuple[FileProblem, ...] = ()
    has_catalog: bool = True
    source: str = ""
    placed: PlaceOfField = field(default=lambda path, message: None, compare=False, repr=False)


def load_catalog_file(path: str | FilePath) -> CatalogFile:
    """Read a file, or all of a folder. Raises `CatalogFileError` with all that is wrong."""
    return load_catalog_files([path])


def load_catalog_files(
    paths: Sequence[str | FilePath], sold: SoldElsewhere | None = None
) -> CatalogFile:
    """Read files, and those of folders, as one. Raises `CatalogFileError` with all that is wrong.

    `sold` is asked for the catalog where the files have companies alone.
    """
    content = read_catalog_sources(((file, read_bytes(file)) for file in files_of(paths)), sold)
    return with_unread_folders(content, paths)


def with_unread_folders(content: CatalogFile, paths: Sequence[str | FilePath]) -> CatalogFile:
    """The same, with warnings of the folders within those that are named."""
    unread = islice(unread_folders(paths), WARNINGS_MAX)
    return replace(content, warnings=(*unread, *content.warnings))


def read_catalog_sources(
    sources: Iterable[tuple[str, bytes]], sold: SoldElsewhere | None = None
) -> CatalogFile:
    """The same for what files hold, each with its name."""
    trees: list[SourceTree] = []
    silent: tuple[str, bytes] | None = None
    room = FILE_BYTES_MAX
    for source, data in sources:
        room -= len(data)
        if room < 0 and trees:
            message = f"all files together are larger than {FILE_BYTES_MAX} bytes"
            raise CatalogFileError(source, [FileProblem(NOWHERE, "", message)])
        if has_comments_alone(data):
            silent = silent or (source, data)
        else:
            trees.append(SourceTree(*tree_of(data, source, "features and plans"), source))
    if silent is not None and not trees:
        tree_of(silent[1], silent[0], "features and plans")
    root, problems, source = joined_trees(trees)
    return catalog_of_tree(root, source, problems, sold)


def read_bytes(path: str | FilePath) -> bytes:
    """Read what a file holds, a little past the bound. Raises `CatalogFileError`."""
    try:
        with open(path, "rb") as file:
            return file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        raise CatalogFileError(str(path), [FileProblem(NOWHERE, "", message)]) from None


def parse_catalog(data: bytes, source: str) -> CatalogFile:
    """Read the bytes of a file; `source` is its name for messages. Raises `CatalogFileError`."""
    root, problems = tree_of(data, source, "features and plans")
    return catalog_of_tree(root, source, problems)


def catalog_of_tree(
    root: yaml_tree.Table,
    source: str,
    problems: Iterable[FileProblem] = (),
    sold: SoldElsewhere | None = None,
) -> CatalogFile:
    """Read the tree of a file. `problems`: those of its text. Raises `CatalogFileError`.

    Fields that are wrong are cut out of the tree. `sold` as in `load_catalog_files`.
    """
    problems = list(problems)
    findings = list(islice(shape_findings(yaml_tree.plain(root)), _FINDINGS_MAX))
    has_catalog = any(section in root.entries for section in _CATALOG_SECTIONS)
    if not has_catalog and (sold is None or "companies" not in root.entries):
        findings += [Finding((section,), "is missing") for section in _CATALOG_SECTIONS[:2]]
    problems += located(root, findings)
    if any(len(finding.path) == 1 and not finding.at_key for finding in findings):
        raise CatalogFileError(source, problems)  # a whole section is not there to be referred to
    cut_out(root, findings)
    elsewhere = None if has_catalog or sold is None else sold()
    builder = Builder(root, elsewhere)
    catalog, companies = elsewhere or builder.catalog(), builder.companies()
    broken = (
        rules.problems(catalog, companies)
        if elsewhere is None
        else rules.companies_problems(companies, catalog)
    )
    broken_rules = [
        builder.written_at(found(problem, catalog, companies))
        for problem in islice(broken, _FINDINGS_MAX)
    ]
    for more in (builder.findings, broken_rules):
        news = list(_news(findings, more))
        problems += located(root, news)
        findings += news
    if problems:
        raise CatalogFileError(source, problems)
    odd = {
        builder.written_at(found(each, catalog, ()))
        for each in islice(warnings(catalog) if has_catalog else (), WARNINGS_MAX)
    }
    companies.sort(key=lambda company: company.id)
    catalog, held = canonical_catalog(catalog), tuple(map(canonical_company, companies))

    def placed(path: str, message: str) -> FileProblem | None:
        steps = [int(step) if step.isdigit() else step for step in _STEPS.findall(path)]
        broken_rule = RuleProblem(tuple(steps[1:] if steps[:1] == ["catalog"] else steps), message)
        try:
            finding = builder.written_at(found(broken_rule, catalog, held))
        except LookupError:  # of another shape than what is given
            return None
        (problem,) = located(root, [finding])
        return problem if finding.path[:1] and str(finding.path[0]) in root.entries else None

    odd_places = tuple(sorted(located(root, odd)))
    return CatalogFile(catalog, held, odd_places, has_catalog, source, placed)


def _news(told: Iterable[Finding], more: Iterable[Finding]) -> Iterator[Finding]:
    """Yield what is not a consequence of something in the same field that has been told."""
    fields = {finding.path[:depth] for finding in told for depth in range(len(finding.path) + 1)}
    for finding in more:
        if finding.at_key or finding.path not in fields:
            yield finding


def tree_of(data: bytes, source: str, holds: str) -> tuple[yaml_tree.Table, list[FileProblem]]:
    """Return the tree of a file that is a mapping, and the problems of its text.

    `holds`: what has to be in it, in words. Raises `CatalogFileError` where there is no tree.
    """
    if len(data) > FILE_BYTES_MAX:
        message = f"is larger than {FILE_BYTES_MAX} bytes"
        raise CatalogFileError(source, [FileProblem(NOWHERE, "", message)])
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8-sig", errors="replace")
        at = yaml_tree.position_of(before, len(before))
        raise CatalogFileError(source, [FileProblem(at, "", "is not UTF-8 from here on")]) from None
    try:
        root, problems = yaml_tree.parse(text)
    except yaml_tree.SourceError as error:
        raise CatalogFileError(source, error.problems) from None
    if not isinstance(root, yaml_tree.Table):
        kind = told(yaml_tree.plain(root))
        problems.append(FileProblem(root.at, "", f"must be a mapping with {holds}, is {kind}"))
        raise CatalogFileError(source, problems)
    return root, problems
