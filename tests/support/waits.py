"""Waiting for what daemons come to say, with a bound."""

from __future__ import annotations

from tests.support.daemons import Sidecar
from tests.support.ledger import now_us, status, used_by_sidecar
from tests.support.load import Books
from tests.support.processes import until


async def answered(books: Books, answers: int) -> None:
    """Wait for so many answers in all; under `load`, which says what there was instead."""

    async def enough() -> bool:
        return books.answers >= answers

    await until(enough, "the sidecar does not answer")


async def connected(sidecar: Sidecar, expected: bool = True) -> None:
    """Wait until a sidecar says that it hears the plane, or that it does not."""

    async def said() -> bool:
        return (await status(sidecar)).plane_connected is expected

    await until(said, f"the sidecar does not say that plane_connected is {expected}")


async def fenced(sidecar: Sidecar) -> None:
    """Wait until a sidecar has taken a new incarnation."""
    await sidecar.event("sync.fenced")


async def revision_reached(sidecar: Sidecar, revision: int) -> None:
    """Wait until a sidecar has applied a revision."""

    async def reached() -> bool:
        return (await status(sidecar)).revision >= revision

    await until(reached, f"revision {revision} is not reached")


async def used(sidecar: Sidecar, feature: str, expected: int, *, lost: int = 0) -> None:
    """Wait until a sidecar says so of the usage that acme has of a feature.

    `lost`: so much more at the most, where it may know of what the plane has lost.
    """
    said = 0

    async def as_expected() -> bool:
        nonlocal said
        counters = await used_by_sidecar(sidecar, now_us(), ["acme"])
        said = counters.get(("acme", feature, "all", ()), 0)
        return expected <= said <= expected + lost

    try:
        await until(as_expected, f"other usage of {feature} is said")
    finally:
        assert expected <= said <= expected + lost
