"""Several threads that do something at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def together(*works: Callable[[], T]) -> list[T]:
    """Begin all at the same moment, each in a thread; what they give, in their order."""
    at_once = threading.Barrier(len(works))

    def begin(work: Callable[[], T]) -> T:
        at_once.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as threads:
        return list(threads.map(begin, works))
