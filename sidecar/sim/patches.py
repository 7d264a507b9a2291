"""Part of a catalog laid over another, as a JSON merge patch (RFC 7396) does.

Mappings are merged, key by key; anything else takes the place of what was there, and an empty value
takes it away.
"""

from __future__ import annotations

from sidecar.shared.catalog_file.problems import FilePosition
from sidecar.shared.catalog_file.yaml_tree import Listing, Node, Scalar, Table


def patched(base: Node | None, patch: Table) -> Table:
    """A mapping with what a patch says of it; both stay as they are."""
    entries: dict[str, Node] = {}
    keys: dict[str, FilePosition] = {}
    if isinstance(base, Table):
        entries.update(base.entries)
        keys.update(base.keys)
    for name, entry in patch.entries.items():
        keys[name] = patch.keys[name]
        if is_empty(entry):
            entries.pop(name, None)
        elif isinstance(entry, Table):
            entries[name] = patched(entries.get(name), entry)
        else:
            entries[name] = entry
    return Table(patch.at, entries, keys)


def moved(node: Node, at: FilePosition) -> Node:
    """The same as if all of it were written at one place."""
    if isinstance(node, Table):
        entries = {name: moved(entry, at) for name, entry in node.entries.items()}
        return Table(at, entries, dict.fromkeys(node.keys, at), node.size)
    if isinstance(node, Listing):
        return Listing(at, [moved(item, at) for item in node.items], node.size)
    return Scalar(at, node.text, node.quoted, node.size)


def is_empty(node: Node) -> bool:
    """Whether nothing is written in a field, or `null`."""
    return isinstance(node, Scalar) and node.value() is None
