"""Writes `sidecar/domain/unicode_table.py`: which code points one version of Unicode assigns.

Run it where the package `unicodedata2` has that version: `python -m tests.lint.unicode_table`.
Another version is a change of what names are allowed: only ever a later one, which assigns more.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import wrap
from typing import Final

VERSION: Final = "17.0.0"
TARGET: Final = Path(__file__).resolve().parents[2] / "sidecar/domain/unicode_table.py"
_TEXT: Final = '''\
"""Code points that Unicode does not assign; written by `tests/lint/unicode_table.py`.

It is one version, whatever Python has: what one pod takes no other refuses.
"""

from __future__ import annotations

from typing import Final

VERSION: Final = "{version}"

UNASSIGNED: Final = """
{ranges}
"""
"""Ranges in hexadecimal, both ends inclusive, in order; noncharacters are among them."""
'''


def unassigned(category: Callable[[str], str]) -> Iterator[tuple[int, int]]:
    """Ranges of unassigned code points, both ends inclusive."""
    start = None
    for point in range(sys.maxunicode + 2):
        if point <= sys.maxunicode and category(chr(point)) == "Cn":
            start = point if start is None else start
        elif start is not None:
            yield start, point - 1
            start = None


def table(category: Callable[[str], str], version: str) -> str:
    """The text of the module."""
    ranges = (
        f"{first:x}" if first == last else f"{first:x}-{last:x}"
        for first, last in unassigned(category)
    )
    return _TEXT.format(version=version, ranges="\n".join(wrap(" ".join(ranges), 99)))


def main() -> None:
    """Write the module."""
    data = importlib.import_module("unicodedata2")
    if data.unidata_version != VERSION:
        sys.exit(f"unicodedata2 has Unicode {data.unidata_version}, the table is of {VERSION}")
    TARGET.write_text(table(data.category, VERSION), encoding="utf-8")


if __name__ == "__main__":
    main()
