"""What happens to files: bits flip, pages are zero or swapped, they are cut, or end in garbage."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

PAGE_BYTES: Final = 4096
BITS_MAX: Final = 8

Damage = Callable[[random.Random, Path], str]
"""Does it to a file, and says what it did."""


def flip_bits(rng: random.Random, file: Path) -> str:
    """Flip some bits of a page that is in use."""
    data = bytearray(file.read_bytes())
    page = rng.choice(used_pages(data))
    bits = [page * PAGE_BYTES * 8 + rng.randrange(PAGE_BYTES * 8) for _ in range(_few(rng))]
    for bit in bits:
        data[bit // 8] ^= 1 << bit % 8
    file.write_bytes(data)
    return f"page {page}, bits {bits}"


def zero_page(rng: random.Random, file: Path) -> str:
    """Have nothing but zeros in a page that is in use."""
    data = bytearray(file.read_bytes())
    page = rng.choice(used_pages(data))
    data[page * PAGE_BYTES : (page + 1) * PAGE_BYTES] = bytes(PAGE_BYTES)
    file.write_bytes(data)
    return f"page {page}"


def swap_pages(rng: random.Random, file: Path) -> str:
    """Have two pages in each other's place."""
    data = bytearray(file.read_bytes())
    one, other = rng.choice(used_pages(data)), rng.choice(used_pages(data))
    at, to = one * PAGE_BYTES, other * PAGE_BYTES
    data[at : at + PAGE_BYTES], data[to : to + PAGE_BYTES] = (
        data[to : to + PAGE_BYTES],
        data[at : at + PAGE_BYTES],
    )
    file.write_bytes(data)
    return f"pages {one} and {other}"


def cut(rng: random.Random, file: Path) -> str:
    """End the file too early: in half, at a page, anywhere."""
    data = file.read_bytes()
    used = (used_pages(data)[-1] + 1) * PAGE_BYTES
    size = rng.choice((used // 2, rng.randrange(used), PAGE_BYTES * rng.randrange(9)))
    file.write_bytes(data[:size])
    return f"{size} of {len(data)} bytes"


def empty(_: random.Random, file: Path) -> str:
    """Leave nothing in the file."""
    file.write_bytes(b"")
    return "0 bytes"


def delete(_: random.Random, file: Path) -> str:
    """Have no such file."""
    file.unlink()
    return "deleted"


def append(rng: random.Random, file: Path) -> str:
    """Have garbage behind its end."""
    size = rng.choice((1, PAGE_BYTES, 3 * PAGE_BYTES + 7))
    with open(file, "ab") as opened:
        opened.write(rng.randbytes(size))
    return f"{size} bytes more"


def overwrite(rng: random.Random, file: Path) -> str:
    """Have something else in a stretch of it."""
    data = bytearray(file.read_bytes())
    at = rng.choice(used_pages(data)) * PAGE_BYTES + rng.randrange(PAGE_BYTES)
    size = rng.choice((16, 512, 2 * PAGE_BYTES))
    data[at : at + size] = rng.randbytes(min(size, len(data) - at))
    file.write_bytes(data)
    return f"{size} bytes at {at}"


KINDS: Final[Mapping[str, Damage]] = {
    "flipped bits": flip_bits,
    "a page of zeros": zero_page,
    "swapped pages": swap_pages,
    "a cut": cut,
    "an empty file": empty,
    "no file": delete,
    "garbage behind": append,
    "garbage within": overwrite,
}


def used_pages(data: bytes | bytearray) -> list[int]:
    """Numbers of the pages that have more than zeros in them."""
    count = len(data) // PAGE_BYTES
    return [
        page for page in range(count) if any(data[page * PAGE_BYTES : (page + 1) * PAGE_BYTES])
    ] or [0]


def replace_folder(folder: Path, by: Path) -> None:
    """Have a copy of a folder in the place of one."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(by, folder)


def _few(rng: random.Random) -> int:
    return rng.choice((1, 1, 1, 2, BITS_MAX))
