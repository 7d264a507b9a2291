"""A watch never shows a mixture of two revisions, whatever is cut off, and ends where the plane is.

The model plane is a list of changes. Its streams give them in steps of any size, each with the
newest state of a company, as the real one does. Changes are written in steps of one company, and
the sidecar may be killed between any two of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import Final, NamedTuple
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.domain.company.model import CompanySnapshot
from sidecar.storage import snapshots
from sidecar.storage.snapshots import SnapshotChanges
from sidecar.storage.watch_position import WatchPosition
from sidecar.sync.machine.watch import Apply, StartOver, WatchMachine, WatchStep
from tests.support.stores import MemoryDisk, OpenedStore

NAMES: Final = ("a", "b", "c")

Held = dict[str, int]
"""Version of each company."""


class Change(NamedTuple):
    """A company was changed, or removed, by a revision."""

    name: str
    removed: bool = False


class Plane:
    """A state that changes one company a revision. `states[n]`: what there was at revision n."""

    def __init__(self, epoch: str) -> None:
        self.epoch = epoch
        self.states: list[Held] = [{}]
        self._changes: list[Change] = [Change("")]

    @property
    def revision(self) -> int:
        return len(self.states) - 1

    def change(self, change: Change) -> None:
        state = dict(self.states[-1])
        if change.removed:
            state.pop(change.name, None)
        else:
            state[change.name] = self.revision + 1
        self.states.append(state)
        self._changes.append(change)

    def stream(self, resume: int, random: Random) -> Iterator[WatchStep]:
        """Steps from a revision to the present one; others change things in between.

        Each tells the newest state of its companies. Removals are told to those who may know.
        """
        at, known = resume, resume or self.revision
        while True:
            until = min(self.revision, at + random.randint(1, 3))
            newest = {change.name: at for at, change in enumerate(self._changes)}
            changed = [n for n in range(at + 1, until + 1) if newest[self._changes[n].name] == n]
            kept = [n for n in changed if not self._changes[n].removed]
            gone = [n for n in changed if self._changes[n].removed and n > known]
            at = until
            yield WatchStep(
                self.epoch,
                at,
                at == self.revision,
                None,
                [CompanySnapshot(self._changes[n].name, n) for n in kept],
                [self._changes[n].name for n in gone],
            )
            if at == self.revision:
                return
            if random.random() < 0.4:
                self.change(Change(random.choice(NAMES), random.random() < 0.4))


class Sidecar:
    """Follows a plane, on a real store."""

    def __init__(self) -> None:
        self.opened = OpenedStore(MemoryDisk())
        self.restart()

    def restart(self) -> None:
        self.opened.reopen()
        position = self.opened.snapshots.position()
        self.machine = WatchMachine(position.epoch, position.revision)

    def held(self) -> Held:
        found = {name: self.opened.snapshots.company(name) for name in NAMES}
        return {name: snapshot.version for name, snapshot in found.items() if snapshot}

    def take(self, step: WatchStep, seen: set[str], killed_after: int) -> bool:
        """Do what the machine says; whether the stream goes on.

        A sidecar that applies in more steps than `killed_after` is killed after those.
        """
        action = self.machine.stepped(step)
        if isinstance(action, StartOver):
            return False
        if isinstance(action, Apply) and not self._apply(action, seen, killed_after):
            self.restart()
            return False
        return True

    def _apply(self, action: Apply, seen: set[str], killed_after: int) -> bool:
        seen.update(company.company for company in action.companies)
        gone = [name for name in NAMES if action.all_known and name not in seen]
        position = None
        if action.revision is not None:
            position = WatchPosition(action.epoch, action.revision)
        steps = self.opened.snapshots.applying(
            SnapshotChanges(
                None,
                action.companies,
                [*action.removed, *gone],
                position,
                replace=action.replace,
            )
        )
        # Nothing left in it after so many: it has come to its end.
        return len(list(islice(steps, killed_after + 1))) <= killed_after


_CHANGES: Final = st.builds(Change, st.sampled_from(NAMES), st.booleans())
_EVENTS: Final = st.lists(
    _CHANGES
    | st.sampled_from(["follow", "follow", "cut", "cut", "kill", "kill", "restart", "new epoch"]),
    max_size=40,
)


@settings(max_examples=200)
@given(_EVENTS, st.integers(0, 2**32))
def test_a_watch_shows_whole_revisions_and_ends_where_the_plane_is(
    events: list[Change | str], seed: int
) -> None:
    with patch.object(snapshots, "WRITTEN_AT_ONCE", 1):
        live(events, Random(seed))


def live(events: list[Change | str], random: Random) -> None:
    """Let all of it happen, and compare at the end."""
    plane, sidecar = Plane("epoch 0"), Sidecar()
    plane.change(Change("a"))
    for event in events:
        if isinstance(event, Change):
            plane.change(event)
        elif event == "restart":
            sidecar.restart()
        elif event == "new epoch":
            plane = Plane(plane.epoch + "'")
            plane.change(Change("b"))
        elif event == "kill":
            follow(sidecar, plane, random, 1000, killed_after=random.randint(0, 6))
        else:
            follow(sidecar, plane, random, 1 if event == "cut" else 1000)
    # Once to learn of another epoch, once to follow it.
    follow(sidecar, plane, random, 1000)
    follow(sidecar, plane, random, 1000)
    assert plane.states[-1] == sidecar.held()
    assert WatchPosition(plane.epoch, plane.revision) == sidecar.opened.snapshots.position()


def follow(
    sidecar: Sidecar, plane: Plane, random: Random, steps_max: int, killed_after: int = 1000
) -> None:
    """Take steps of a stream; after a start from nothing, whatever is shown is a whole revision."""
    resume = sidecar.machine.resume_revision()
    seen: set[str] = set()
    for taken, step in enumerate(plane.stream(resume, random)):
        goes_on = taken < steps_max and sidecar.take(step, seen, killed_after)
        position = sidecar.opened.snapshots.position()
        if resume and position.epoch == plane.epoch:
            assert plane.states[position.revision] == sidecar.held()
        if not goes_on:
            break
