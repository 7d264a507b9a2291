"""What commands print: tables and numbers for people, JSON for scripts.

On a terminal there are colours, thousands separators and tables drawn by rich. In a pipe there is
plain text, with exact digits and columns apart by two spaces or more.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

import click
from google.protobuf.message import Message

from sidecar.cli.common import printable
from sidecar.shared.api_json import json_of_message

__all__ = [
    "NOTHING",
    "Cell",
    "Painted",
    "bar",
    "is_narrow",
    "is_terminal",
    "mark",
    "number",
    "paint",
    "print_facts",
    "print_json",
    "print_line",
    "print_message",
    "print_table",
    "print_text",
    "printable",
]

NOTHING: Final = "-"
"""Stands in a table where there is no value."""
_EMPTY: Final = ("", "0", NOTHING)
_BAR_CELLS: Final = 8
_BAR_COLUMNS_MIN: Final = 100
"""Narrower terminals need the room for names and numbers."""
_EDGES: Final = 2
"""Cells beside a drawn table that is not tight."""
_GAP: Final = 2
"""Cells between two columns of a drawn table."""
_WORD_CELLS_MAX: Final = 12
"""Longer words are folded where the terminal is narrow."""


class Painted(NamedTuple):
    """A text with a colour: `green`, `yellow`, `red`, `cyan` or `bright_black`."""

    text: str
    colour: str


Cell: TypeAlias = str | int | Painted | None


def is_terminal() -> bool:
    """Whether a person looks at the output as it comes."""
    return sys.stdout.isatty()


def is_narrow() -> bool:
    """Whether the output is a terminal that needs its room for names and numbers."""
    return is_terminal() and shutil.get_terminal_size().columns < _BAR_COLUMNS_MIN


def number(value: int | None) -> str:
    """Write an integer; with thousands separators on a terminal. `None` is nothing."""
    if value is None:
        return NOTHING
    return f"{value:,}" if is_terminal() else str(value)


def paint(text: str, colour: str) -> str:
    """Colour a text where the output shows colours."""
    return click.style(text, fg=colour) if _shows_colours() else text


def print_line(text: str = "") -> None:
    """Print one line for people."""
    click.echo(text)


def print_json(value: Mapping[str, object]) -> None:
    """Print one JSON object: on one line, but for a terminal."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2 if is_terminal() else None))


def print_message(message: Message) -> None:
    """Print an API message as one JSON object."""
    print_json(json_of_message(message))


def print_text(text: str) -> None:
    """Print a sentence or two; on a terminal, in lines that fit."""
    for line in _folded(printable(text), 0):
        click.echo(line)


def print_facts(facts: Iterable[tuple[str, Cell]]) -> None:
    """Print names and values below each other; on a terminal, long values in lines that fit."""
    rows = list(facts)
    width = max((len(name) for name, _ in rows), default=0)
    for name, value in rows:
        title = name
        for line in _folded(_text(value), width + 2):
            shown = paint(line, value.colour) if isinstance(value, Painted) else line
            click.echo(f"{title.ljust(width)}  {shown}")
            title = ""


def print_table(
    titles: Sequence[str], rows: Iterable[Sequence[Cell]], *, tight: bool = False
) -> None:
    """Print rows under titles. A column that holds a number is aligned to the right.

    On a terminal that is too narrow, columns that hold nothing (or 0) in each row are left out.
    `tight`: without the empty lines that a drawn table has around it.
    """
    table = [list(row) for row in rows]
    to_right = [any(_is_number(row[at]) for row in table) for at in range(len(titles))]
    if is_terminal():
        room = shutil.get_terminal_size().columns - (0 if tight else _EDGES)
        told = _columns_told(titles, table, room)
        titles, to_right = [titles[at] for at in told], [to_right[at] for at in told]
        _print_rich(titles, [[row[at] for at in told] for row in table], to_right, tight)
    else:
        _print_plain(titles, table, to_right)


def bar(used: int, amount: int | None) -> Painted:
    """Draw how much of an amount is used: a bar and a percentage; in a pipe the latter alone."""
    if amount is None:
        return Painted(NOTHING, "bright_black")
    percent = used * 100 // amount if amount else (100 if used else 0)
    colour = "red" if percent >= 100 else "yellow" if percent >= 80 else "green"
    if not is_terminal() or is_narrow():
        return Painted(f"{number(percent)}%", colour)
    full, empty = ("█", "░") if _speaks_unicode() else ("#", ".")
    cells = min(_BAR_CELLS, percent * _BAR_CELLS // 100)
    return Painted(f"{full * cells}{empty * (_BAR_CELLS - cells)} {percent:,}%", colour)


def mark() -> str:
    """Return a sign that points at what is before it."""
    return "◂" if _speaks_unicode() else "<"


def _speaks_unicode() -> bool:
    return "utf" in (sys.stdout.encoding or "").lower()


def _shows_colours() -> bool:
    return is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _text(cell: Cell) -> str:
    if isinstance(cell, Painted):
        return printable(cell.text)
    if isinstance(cell, str):
        return printable(cell)
    return number(cell)


def _folded(text: str, indent: int) -> list[str]:
    """Return a text in lines that fit beside an indent, as far as there is a terminal."""
    columns = shutil.get_terminal_size().columns - indent
    if not is_terminal() or len(text) <= columns or columns < _WORD_CELLS_MAX:
        return [text]
    return textwrap.wrap(text, columns, break_on_hyphens=False)


def _is_number(cell: Cell) -> bool:
    if isinstance(cell, Painted):
        return cell.text.replace(",", "").isdecimal()
    return isinstance(cell, int)


def _print_plain(
    titles: Sequence[str], table: Sequence[Sequence[Cell]], to_right: Sequence[bool]
) -> None:
    lines = [[title.upper() for title in titles], *([_text(cell) for cell in row] for row in table)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(titles))]
    for line in lines:
        cells = [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(line, widths, to_right, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())


def _print_rich(
    titles: Sequence[str], table: Sequence[Sequence[Cell]], to_right: Sequence[bool], tight: bool
) -> None:
    # Here, since a command in a pipe has no use for it and rich takes its time to import.
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(
        box=box.SIMPLE_HEAD,
        header_style="bold",
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=not tight,
    )
    room = shutil.get_terminal_size().columns - (0 if tight else _EDGES) - _GAP * (len(titles) - 1)
    widths = _widths(titles, table, room)
    for title, right, width in zip(titles, to_right, widths, strict=True):
        justify: Literal["right", "left"] = "right" if right else "left"
        drawn.add_column(title, justify=justify, overflow="fold", width=width)
    for row in table:
        drawn.add_row(
            *(Text(_text(c), style=c.colour if isinstance(c, Painted) else "") for c in row)
        )
    Console(no_color=not _shows_colours(), highlight=False).print(drawn)


def _columns_told(
    titles: Sequence[str], table: Sequence[Sequence[Cell]], room: int
) -> Sequence[int]:
    """Return which columns are shown: all of them, where all have room side by side."""
    from rich.cells import cell_len

    every = range(len(titles))
    columns = [[titles[at], *(_text(row[at]) for row in table)] for at in every]
    wanted = sum(max(map(cell_len, column)) for column in columns) + _GAP * (len(titles) - 1)
    if wanted <= room:
        return every
    return [at for at in every if any(text not in _EMPTY for text in columns[at][1:])] or every


def _widths(titles: Sequence[str], table: Sequence[Sequence[Cell]], room: int) -> list[int]:
    """Return the columns' widths: where the room is short, the widest give way.

    As far as it goes, texts are folded between words, and numbers never.
    """
    from rich.cells import cell_len

    columns = [[title, *(row[at] for row in table)] for at, title in enumerate(titles)]
    widths = [max(cell_len(_text(cell)) for cell in column) for column in columns]
    least = [_narrowest(column) for column in columns]
    if sum(least) > room:
        least = [1] * len(columns)
    while sum(widths) > room:
        width, at = max((width if width > least[at] else 0, at) for at, width in enumerate(widths))
        if not width:
            break
        widths[at] -= 1
    return widths


def _narrowest(cells: Sequence[Cell]) -> int:
    """Return the width at which a column still reads well."""
    longest = max(len(word) for cell in cells for word in (_text(cell).split() or [""]))
    return longest if any(map(_is_number, cells)) else min(_WORD_CELLS_MAX, longest)
