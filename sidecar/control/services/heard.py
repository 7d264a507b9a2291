"""Notes that a sidecar is there, whatever became of what it asked for.

Who was heard keeps what it holds of limits that never end. That it is there says nothing of its
history: a sidecar that comes back asks, watches and is refused before it greets.
"""

from __future__ import annotations

from typing import Final

import msgspec

from sidecar.control.storage.port import ReadTransaction, WriteTransaction
from sidecar.domain.time.units import SECOND_US

HEARD_EVERY_US: Final = 5 * SECOND_US
"""How exactly it is noted when who asks was last heard: not with each call."""


def is_noted(
    transaction: ReadTransaction, incarnation: str, now_us: int, every_us: int = HEARD_EVERY_US
) -> bool:
    """Whether it is known as of so long ago, or later, that an incarnation is there.

    Also of one of which nothing is known: it holds nothing.
    """
    known = transaction.incarnation(incarnation)
    return known is None or known.last_heard_us >= now_us - every_us


def hear(
    transaction: WriteTransaction, incarnation: str, now_us: int, every_us: int = HEARD_EVERY_US
) -> None:
    """Note that an incarnation is there, unless that is noted."""
    known = transaction.incarnation(incarnation)
    if known is not None and known.last_heard_us < now_us - every_us:
        transaction.put_incarnation(msgspec.structs.replace(known, last_heard_us=now_us))
