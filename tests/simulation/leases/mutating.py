"""Deliberate bugs, by name, and in which seeds they show."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager

Mutation = Callable[[ExitStack], None]
PlaySeed = Callable[[int, Collection[str]], str]
"""Plays a seed, in which only what is named happens, if anything is; what was seen, if anything."""


class Mutations(dict[str, Mutation]):
    """Bugs by name. Each takes the place of something in the code for as long as a block lasts."""

    def __init__(self, play_seed: PlaySeed) -> None:
        super().__init__()
        self._play_seed = play_seed

    def add(self, mutation: Mutation) -> Mutation:
        """Have one more."""
        self[mutation.__name__] = mutation
        return mutation

    @contextmanager
    def mutated(self, name: str) -> Iterator[None]:
        """Have one thing wrong for as long as the block lasts."""
        with ExitStack() as stack:
            self[name](stack)
            yield

    def first_seed_that_shows(
        self, name: str, seeds_max: int, only: Collection[str] = (), first: int = 1
    ) -> tuple[int, str] | None:
        """The first of so many seeds, from `first` on, that shows a bug, and what is seen of it.

        `only`: what happens in them (see `KINDS`), rather than all there is.
        """
        with self.mutated(name):
            for seed in range(first, first + seeds_max):
                violation = self._play_seed(seed, only)
                if violation:
                    return seed, violation
        return None
