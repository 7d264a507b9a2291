"""Whether a store's file can be trusted to LMDB, which believes what it reads.

All of a file is gone through after a loss of power, and where it ends too early: a page that lies
behind the end of a file kills the process that looks at it.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

import lmdb.verify
import structlog

_PROBLEMS_LOGGED_MAX: Final = 5
_META: Final = struct.Struct("=16x II 8x 8x I 92x QQ")
"""A meta page up to its transaction: magic number, version, size of a page, last page in use, and
number of the transaction."""
_MAGIC: Final = 0xBEEFC0DE

log = structlog.get_logger(__name__)


def is_cut_short(data: Path) -> bool:
    """Whether a file ends before the last page that it says is in use.

    That need not be damage: LMDB does not write a new page that it frees in the same transaction.
    """
    try:
        with open(data, "rb") as opened:
            first = opened.read(_META.size)
            if len(first) < _META.size:
                return False  # LMDB sees that by itself
            magic, _, page_bytes, last_page, transaction = _META.unpack(first)
            opened.seek(page_bytes)
            second = opened.read(_META.size)
    except FileNotFoundError:
        return False
    if magic != _MAGIC or len(second) < _META.size:
        return False
    _, _, _, later_page, later = _META.unpack(second)
    end_bytes: int = (1 + (later_page if later > transaction else last_page)) * page_bytes
    return data.stat().st_size < end_bytes


def verifies(data: Path) -> bool:
    """Go through a file, without LMDB; what is wrong with it is logged."""
    if not data.exists():
        return True
    try:
        problems = lmdb.verify.verify(str(data))  # type: ignore[no-untyped-call]
    except lmdb.verify.VerifyError as error:
        problems = [str(error)]
    if problems:
        log.error("store.does_not_verify", problems=problems[:_PROBLEMS_LOGGED_MAX])
    return not problems
