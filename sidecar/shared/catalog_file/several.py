"""A catalog that is split over several files, or the files of folders: read as one tree.

Rules
- Of a folder count its `*.yaml` and `*.yml` that are regular files, in the order of their names;
  folders within it do not, which is told.
- A file that has comments alone has nothing to say; one that is empty is refused, as it may be cut.
- The files' sections are put together. What two files name is refused, with both places; keys that
  start with x- are each file's own.
- Each place knows its file, so that all that is told of the tree later names it.
"""

from __future__ import annotations

from codecs import BOM_UTF8
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


def unread_folders(paths: Sequence[str | FilePath]) -> Iterator[FileProblem]:
    """Tell folders within those that are named that have files, and are not named themselves."""
    named = {FilePath(path).resolve() for path in paths}
    for folder in filter(FilePath.is_dir, map(FilePath, paths)):
        for within in sorted(folder.iterdir()):
            hidden = within.name.startswith(".")
            if hidden or not within.is_dir() or within.resolve() in named:
                continue
            if _has_catalogs(within):
                message = "is not read, as a folder within a folder: name it as well"
                yield FileProblem(NOWHERE._replace(source=str(within)), "", message)


def has_comments_alone(data: bytes) -> bool:
    """Whether a file has nothing but comments, and at least one."""
    lines = [line.strip() for line in data.removeprefix(BOM_UTF8).splitlines()]
    said = [line for line in lines if line and line != b"---"]
    return bool(said) and all(line.startswith(b"#") for line in said)


def _has_catalogs(folder: FilePath) -> bool:
    try:
        return any(map(_is_catalog, folder.iterdir()))
    except OSError:  # nobody may look into it
        return False


def _is_catalog(file: FilePath) -> bool:
    return file.suffix in _SUFFIXES and not file.name.startswith(".")


def _files(path: FilePath) -> list[FilePath]:
    try:
        if not path.is_dir():
            return [path]
        files = [
            file
            for file in sorted(path.iterdir())
            if _is_catalog(file) and (file.is_file() or not file.exists())  # a broken link is told
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
