"""Whether a store's file can be trusted to LMDB, which believes what it reads.

Meta pages and length are looked at before every opening: a page that lies behind the end of a file
kills the process that looks at it. All of a file is gone through where these are odd, after a loss
of power, and wherever else there is doubt.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

import lmdb.verify
import structlog

_PROBLEMS_LOGGED_MAX: Final = 5
_ASTRAY: Final = "leaf keys out of order"
"""What `lmdb.verify` says of a key that is smaller than the one before it on its page."""
_ASTRAY_MAX: Final = 4
_META: Final = struct.Struct("=8x 2x H 4x II 8x 8x I 92x QQ")
"""A meta page up to its transaction: its flags, magic number, version, size of a page, last page in
use, and number of the transaction."""
_IS_META: Final = 0x08
_MAGIC: Final = 0xBEEFC0DE
_VERSION: Final = 1
_PAGE_BYTES: Final = frozenset(1 << bits for bits in range(9, 17))

log = structlog.get_logger(__name__)


def problem_in_metas(data: Path) -> str:
    """What is odd about a file's meta pages and its length, in words; empty if nothing is.

    LMDB believes both, and maps what they say. It need not be damage: LMDB does not write a new
    page that it frees in the same transaction, and the file may end before that.
    """
    try:
        with open(data, "rb") as opened:
            first = opened.read(_META.size)
            if not first:
                return ""  # a new one
            if len(first) < _META.size:
                return "it ends within its first page"
            page_bytes = _META.unpack(first)[3]
            if page_bytes not in _PAGE_BYTES:
                return f"it says that it has pages of {page_bytes} bytes"
            opened.seek(page_bytes)
            second = opened.read(_META.size)
            size_bytes = opened.seek(0, 2)
    except FileNotFoundError:
        return ""
    if len(second) < _META.size:
        return "it ends within its second page"
    metas = [_META.unpack(first), _META.unpack(second)]
    for flags, magic, version, bytes_of_page, last_page, _ in metas:
        if (magic, version, bytes_of_page) != (_MAGIC, _VERSION, page_bytes) or (
            not flags & _IS_META or last_page < 1
        ):
            return "one of its meta pages is none"
    last_page = max(metas, key=lambda meta: meta[5])[4]
    if size_bytes < (1 + last_page) * page_bytes:
        return f"it ends at byte {size_bytes}, before page {last_page}"
    return ""


def last_transaction(data: Path) -> int:
    """Number of the last transaction on a file, as its meta pages say; 0 where they say nothing."""
    with open(data, "rb") as opened:
        first = opened.read(_META.size)
        if len(first) < _META.size:
            return 0
        opened.seek(_META.unpack(first)[3])
        second = opened.read(_META.size)
    return max(int(_META.unpack(meta)[5]) for meta in (first, second) if len(meta) == _META.size)


def verifies(data: Path) -> bool:
    """Go through a file, without LMDB; what is wrong with it is logged.

    A few keys that are not in their order are records that nobody finds: the rest is whole, and
    whoever looks through the records takes them out.
    """
    if not data.exists():
        return True
    try:
        problems = lmdb.verify.verify(str(data))  # type: ignore[no-untyped-call]
    except lmdb.verify.VerifyError as error:
        problems = [str(error)]
    if problems:
        log.error("store.does_not_verify", problems=problems[:_PROBLEMS_LOGGED_MAX])
    return len(problems) <= _ASTRAY_MAX and all(_ASTRAY in problem for problem in problems)
