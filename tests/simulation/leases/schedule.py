"""What happens in a run, as values: written out, played again, and cut down to what matters.

Pods are named by their number among those that live, so a step keeps its meaning as well as it can
where others before it are left out. Times in microseconds since the run began.
"""

from __future__ import annotations

from typing import Generic, TypeAlias, TypeVar

import msgspec


class Step(msgspec.Struct, frozen=True, tag=True):
    """Something that happens."""

    at_us: int


class Ask(Step, frozen=True):
    """A call to a pod. `mode`: as in `GrantMode`. `key`: 0 for none. `retried`: elsewhere, too."""

    pod: int
    company: int
    offer: int
    quantity: int
    user: int
    mode: int = 1
    key: int = 0
    retried: bool = False
    late_us: int = 0


class Cut(Step, frozen=True):
    """A pod's network carries nothing any more, in one direction or both."""

    pod: int
    up: bool
    down: bool
    for_us: int


class Noise(Step, frozen=True):
    """Of a thousand messages of a pod so many are lost, late, doubled, for a while."""

    pod: int
    lost: int
    late: int
    doubled: int
    for_us: int


class Kill(Step, frozen=True):
    """A pod is killed at one of its next commits. `lost`: so many of the last are undone by it.

    `put_back`: by an older copy that is put over the store, rather than by a loss of power.
    """

    pod: int
    points: int
    before: bool
    back_us: int
    lost: int = 0
    put_back: bool = False


class Freeze(Step, frozen=True):
    """A pod is stopped, and goes on a while later as if nothing had been."""

    pod: int
    for_us: int


class Clone(Step, frozen=True):
    """A copy of a pod's disk is opened as another pod. `lost`: a copy of so many commits ago."""

    pod: int
    lost: int = 0


class Grow(Step, frozen=True):
    """There are more pods."""

    pods: int


class Shrink(Step, frozen=True):
    """Pods are stopped in order; their disks go once they are empty, as far as they come to it."""

    pods: int


class KillPlane(Step, frozen=True):
    """The plane is killed at one of its next commits. `unwitnessed`: before the witness has it."""

    points: int
    before: bool
    back_us: int
    unwitnessed: bool = False


class Backup(Step, frozen=True):
    """The plane's database is copied."""


class Rollback(Step, frozen=True):
    """The last copy of it takes its place."""

    back_us: int


class Jump(Step, frozen=True):
    """A pod's machine has another time."""

    pod: int
    by_us: int


class JumpPlane(Step, frozen=True):
    """The plane's machine has another time."""

    by_us: int


class Reprice(Step, frozen=True):
    """A limit of a plan has another amount."""

    plan: int
    offer: int
    amount: int


class GrantOverride(Step, frozen=True):
    """A company has another amount for a while."""

    company: int
    offer: int
    amount: int
    for_us: int


class Replan(Step, frozen=True):
    """A company has another plan, in a while. `resets`: its usage starts again with it."""

    company: int
    plan: int
    in_us: int
    resets: bool


class Reset(Step, frozen=True):
    """A company's usage starts again, now."""

    company: int


class Settle(Step, frozen=True):
    """An operator ends leases of a silent holder. `counts`: what is left of them as used."""

    lease: int
    counts: bool


class EndRecovery(Step, frozen=True):
    """An operator has the plane wait for nobody any more who may hold what it does not know."""


class ReleaseAfter(Step, frozen=True):
    """From its next start the plane releases what holders of LIFETIME limits silent for so long."""

    us: int


class BuyPacks(Step, frozen=True):
    """A company holds so many packs."""

    company: int
    packs: int


class Create(Step, frozen=True):
    """A company is created, unless it is there."""

    company: int


class Remove(Step, frozen=True):
    """A company is removed: the default plan stands in for it."""

    company: int


Happening: TypeAlias = (
    Cut
    | Noise
    | Kill
    | Freeze
    | Clone
    | Grow
    | Shrink
    | KillPlane
    | Backup
    | Rollback
    | Jump
    | JumpPlane
    | Reprice
    | GrantOverride
    | Replan
    | Reset
    | Settle
    | EndRecovery
    | ReleaseAfter
    | BuyPacks
    | Create
    | Remove
)
"""What happens besides calls."""
AnyStep: TypeAlias = Ask | Happening
S = TypeVar("S", bound=Step)


class Schedule(msgspec.Struct, Generic[S], frozen=True):
    """A run. `starts_us`: the time at its start. `seed`: of the network's chance."""

    seed: int
    starts_us: int
    length_us: int
    pods: int
    steps: tuple[S, ...]

    def with_steps(self, steps: tuple[S, ...]) -> Schedule[S]:
        """The same with other steps."""
        return msgspec.structs.replace(self, steps=steps)

    def text(self) -> str:
        """All of it on one line."""
        return msgspec.json.encode(self).decode()


LeaseSchedule: TypeAlias = Schedule[AnyStep]


def read_schedule(text: str | bytes) -> LeaseSchedule:
    """A schedule that `text` wrote."""
    return msgspec.json.decode(text, type=LeaseSchedule)
