"""Trees of texts, numbers and mappings as YAML that reads as the same tree."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias


class Plain(str):
    """A text that stands as it is, without quotes: an instant, a number with a sign."""

    __slots__ = ()


Tree: TypeAlias = "str | int | bool | Sequence[Tree] | Mapping[str, Tree]"

_BARE: Final = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*(?: [A-Za-z0-9_./-]+)*")
_OTHER_THINGS: Final = frozenset(["true", "false", "null", "yes", "no", "on", "off", "y", "n"])
"""Words that mean something else, in YAML 1.2 or to those who know 1.1."""
_ESCAPED: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t"}


def yaml_text(tree: Mapping[str, Tree]) -> str:
    """Write a mapping as YAML: mappings in lines, lists and empty mappings within a line."""
    return "".join(f"{line}\n" for line in _lines(tree, ""))


def _lines(tree: Mapping[str, Tree], indent: str) -> Iterator[str]:
    for key, value in tree.items():
        name = f"{indent}{_text(key)}:"
        if isinstance(value, Mapping) and value:
            yield name
            yield from _lines(value, indent + "  ")
        elif isinstance(value, (list, tuple)) and value and isinstance(value[0], Mapping):
            yield name
            for item in value:
                first, *rest = _lines(item, indent + "    ")
                yield f"{indent}  - {first.lstrip()}"
                yield from rest
        else:
            yield f"{name} {_inline(value)}"


def _inline(value: Tree) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        return value if isinstance(value, Plain) else _text(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(key)}: {_inline(one)}" for key, one in value.items()) + "}"
    return "[" + ", ".join(map(_inline, value)) + "]"


def _text(text: str) -> str:
    if _BARE.fullmatch(text) and text.lower() not in _OTHER_THINGS:
        return text
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in _ESCAPED:
        return _ESCAPED[character]
    if character.isprintable():
        return character
    return f"\\U{ord(character):08X}"
