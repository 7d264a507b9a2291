"""A catalog that is split over several files, or the files of folders: read as one tree.

Rules
- Of a folder count its `*.yaml` and `*.yml`, in the order of their names; folders within it do not.
- The files' sections are put together. What two files name is refused, with both places; keys that
  start with x- are each file's own.
- Each place knows its file, so that all that is told of the tree later names it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path as FilePath
from typing import Final, NamedTuple

from sidecar.shared.catalog_file.problems import (
    NOWHERE,
    CatalogFileError,
    FilePosition,
    FileProblem,
    path_text,
)
from sidecar.shared.catalog_file.yaml_tree import Listing, Node, Scalar, Table

FILES_MAX: Final = 1_000
_SUFFIXES: Final = (".yaml", ".yml")
_TOLD_MAX: Final = 3


class SourceTree(NamedTuple):
    """The tree of a file that is a mapping, the problems of its text, and the file's name."""

    root: Table
    problems: list[FileProblem]
    source: str


def files_of(paths: Sequence[str | FilePath]) -> list[str]:
    """The files that paths name, folders read; each file once. Raises `CatalogFileError`."""
    found: dict[FilePath, str] = {}
    for path in paths:
        for file in _files(FilePath(path)):
            found.setdefault(file.resolve(), str(file))
    if len(found) > FILES_MAX:
        message = f"are {len(found)} files; at most {FILES_MAX} are read"
        raise CatalogFileError(_name([str(path) for path in paths]), [_of_all(message)])
    return list(found.values())


def joined_trees(trees: Sequence[SourceTree]) -> SourceTree:
    """Put trees together; one alone stays as it is."""
    if len(trees) == 1:
        return trees[0]
    root = Table(FilePosition(1, 1, trees[0].source))
    problems: list[FileProblem] = []
    for tree in trees:
        _stamp(tree.root, tree.source)
        problems += [
            problem._replace(at=problem.at._replace(source=tree.source))
            for problem in tree.problems
        ]
        problems += _join(root, tree.root, ())
    return SourceTree(root, problems, _name([tree.source for tree in trees]))


def _files(path: FilePath) -> list[FilePath]:
    try:
        if not path.is_dir():
            return [path]
        files = [
            file
            for file in sorted(path.iterdir())
            if file.suffix in _SUFFIXES and not file.name.startswith(".") and not file.is_dir()
        ]
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        raise CatalogFileError(str(path), [_of_all(message)]) from None
    if not files:
        raise CatalogFileError(str(path), [_of_all("has no *.yaml files")])
    return files


def _join(whole: Table, more: Table, path: tuple[str, ...]) -> Iterator[FileProblem]:
    """Hang the entries of a mapping into another one: sections on top, then what they name."""
    for key, node in more.entries.items():
        at = more.keys[key]
        held = whole.entries.get(key)
        if held is None or (not path and _is_empty(held)):
            whole.entries[key], whole.keys[key] = _own(node), at
        elif not path and (_is_empty(node) or key.startswith("x-")):
            continue
        elif not path and isinstance(held, Table) and isinstance(node, Table):
            yield from _join(held, node, (key,))
        else:
            field = path_text((*path, key))
            first = whole.keys[key]
            message = f"is here twice; the first is in {first.source}:{first.line}:{first.column}"
            yield FileProblem(at, field, message)


def _own(node: Node) -> Node:
    """A mapping of its own, which can grow."""
    if not isinstance(node, Table):
        return node
    return Table(node.at, dict(node.entries), dict(node.keys), node.size)


def _is_empty(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value() is None


def _stamp(root: Node, source: str) -> None:
    """Let each place of a tree know its file; what aliases share is met once."""
    waiting: list[Node] = [root]
    while waiting:
        node = waiting.pop()
        if node.at.source:
            continue
        node.at = node.at._replace(source=source)
        if isinstance(node, Table):
            node.keys = {key: at._replace(source=source) for key, at in node.keys.items()}
            waiting += node.entries.values()
        elif isinstance(node, Listing):
            waiting += node.items


def _name(sources: Sequence[str]) -> str:
    if len(sources) > _TOLD_MAX:
        return f"{sources[0]} and {len(sources) - 1} more files"
    return ", ".join(sources)


def _of_all(message: str) -> FileProblem:
    return FileProblem(NOWHERE, "", message)
