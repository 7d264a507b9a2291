"""Names: one word for one thing, as the glossary in ARCHITECTURE.md has it.

Words that were given up stay given up, and two public classes never share a name.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

RETIRED: Mapping[str, str] = {
    "lineage": "incarnation",
    "standing": "plane status",
    "gauge": "usage",
    "upkeep": "maintenance",
    "holding": "add-on subscription",
    "regardless": "record only",
}
"""Words within identifiers, and what is said instead."""

RETIRED_NAMES: Mapping[str, str] = {
    "taken_up": "pin",
    "laid_down": "unpin",
    "to_let_go": "to_evict",
    "HeldCompanies": "CompanyCache",
    "CompanyView": "ResolvedCompany",
    "FeatureView": "ResolvedFeature",
    "MissingSnapshots": "SnapshotFetcher",
    "AnswerEncoder": "ResponseEncoder",
    "EncodeAnswer": "EncodeResponse",
    "OpenStore": "StoreHandle",
    "FirstUse": "KeyUse",
    "Hearing": "TotalsApplier",
    "Applying": "ChangesApplier",
    "Place": "CounterAddress",
}
"""Whole identifiers, and what they are called instead."""

ELSEWHERE: Mapping[str, str] = {
    "gauge": "sidecar/shared/ops/ tests/unit/shared/ops/",  # Prometheus has gauges
}
"""Where a retired word means something else; folders, with spaces between."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_GENERATED = "sidecar/api/"
_PACKAGE = "sidecar/"
_LIBRARY = "sidecar/front/"
"""A library of its own: its names need be no others' than its own."""


def retired_names(path: str, source: str) -> Iterator[str]:
    """One line for each retired name that a file of Python uses or defines."""
    if path.startswith(_GENERATED) or path == "tests/lint/names.py":
        return
    for name, line in _identifiers(ast.parse(source)):
        instead = RETIRED_NAMES.get(name) or _instead_of_words(path, name)
        if instead:
            yield f"{path}:{line}: {name}: a retired word; say {instead}"


def _instead_of_words(path: str, name: str) -> str:
    for found in _WORD.findall(name):
        word = found.lower()
        singular = word.removesuffix("s")
        for retired in (word, singular):
            if retired in RETIRED and not _means_another(path, retired):
                return RETIRED[retired]
    return ""


def _means_another(path: str, word: str) -> bool:
    return any(path.startswith(folder) for folder in ELSEWHERE.get(word, "").split())


def _identifiers(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name, line
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                yield node.name, line
            case ast.keyword(arg=str(name)):
                yield name, line
            case ast.alias(name=name):
                yield name.rpartition(".")[2], line


def classes_with_one_name(sources: Iterable[tuple[str, str]]) -> Iterator[str]:
    """One line for each name that several public classes of the package have."""
    places = defaultdict(list)
    for path, source in sources:
        if not path.startswith(_PACKAGE) or path.startswith((_GENERATED, _LIBRARY)):
            continue
        for node in ast.parse(source).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(path)
    for name, paths in sorted(places.items()):
        if len(paths) > 1:
            yield f"{name}: a class of this name in each of {', '.join(sorted(paths))}"


def check(root: Path, files: Iterable[Path]) -> list[str]:
    """Every offence in the repository's files of Python."""
    sources = [
        (path.as_posix(), (root / path).read_text("utf-8"))
        for path in files
        if path.suffix == ".py"
    ]
    offences = [line for path, source in sources for line in retired_names(path, source)]
    return offences + list(classes_with_one_name(sources))
