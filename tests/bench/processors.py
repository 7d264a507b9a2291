"""Who runs where: servers and load driver on processors of their own, where there are two or more.

So neither takes the other's time or wakes up on the other's warm caches, and every server has the
same to run on.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final


def split(processors: Iterable[int]) -> tuple[frozenset[int], frozenset[int]]:
    """Processors for servers, and for the driver: the last one; a single one is for both."""
    every = sorted(processors)
    return frozenset(every[:-1] or every), frozenset(every[-1:])


OURS: Final = frozenset(os.sched_getaffinity(0))
SERVERS, DRIVER = split(OURS)


@contextmanager
def inherited(processors: frozenset[int]) -> Iterator[None]:
    """What this thread starts in the block may run on these processors alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, processors)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
