"""Calls about seats and levels, as values, among what happens in a run of leases."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from tests.simulation.leases.schedule import Happening, Schedule, Step


class Acquire(Step, frozen=True):
    """A holder asks a pod for a seat."""

    pod: int
    company: int
    offer: int
    holder: int


class Release(Step, frozen=True):
    """A holder's seat is given back at a pod."""

    pod: int
    company: int
    offer: int
    holder: int


class ListHolders(Step, frozen=True):
    """A pod is asked who has seats."""

    pod: int
    company: int
    offer: int


class Use(Step, frozen=True):
    """Somebody uses so much of a level, and takes it back in a while; 0: never, he has died.

    `named`: as an item. `ttl_us`: of the item, 0 for none. `keyed`: under a key, and `retried`:
    elsewhere, too. `elsewhere`: where it is not named, it is taken back at another pod.
    `late_us`: how long ago it was by what he says.
    """

    pod: int
    company: int
    offer: int
    quantity: int
    for_us: int
    named: bool = False
    ttl_us: int = 0
    keyed: bool = False
    retried: bool = False
    elsewhere: bool = False
    late_us: int = 0


class Tune(Step, frozen=True):
    """Somebody sets an item of his, or all that is not named (item 0), to so much."""

    pod: int
    company: int
    offer: int
    item: int
    level: int
    ttl_us: int = 0


KindStep: TypeAlias = Acquire | Release | ListHolders | Use | Tune | Happening
KindSchedule: TypeAlias = Schedule[KindStep]


def read_schedule(text: str | bytes) -> KindSchedule:
    """A schedule that `text` wrote."""
    return msgspec.json.decode(text, type=KindSchedule)
