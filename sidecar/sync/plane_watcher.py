"""The watcher: follows the plane's changes, and fetches companies when they are first needed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import structlog

from sidecar.directory.directory import Directory
from sidecar.domain.errors import FieldError
from sidecar.domain.slices import pages
from sidecar.domain.time.units import SECOND_US
from sidecar.engine.runner import Runner
from sidecar.storage.snapshots import SnapshotChanges, Snapshots
from sidecar.storage.store import Store
from sidecar.storage.watch_position import WatchPosition
from sidecar.sync.apply_changes import ChangesApplier
from sidecar.sync.apply_totals import TotalsApplier
from sidecar.sync.coverage_keeper import CoverageKeeper
from sidecar.sync.followed import FollowedCompanies
from sidecar.sync.machine.watch import HELD_BACK_MAX, Apply, StartOver, WatchMachine, WatchStep
from sidecar.sync.plane import PlaneClient
from sidecar.sync.plane_answers import FetchAnswer, PlaneAway
from sidecar.sync.reached import Reached
from sidecar.sync.refresh import CHUNK, TotalsRefresh
from sidecar.sync.retry_wait import RetryWait
from sidecar.sync.shared_fetches import SharedFetches
from sidecar.sync.snapshot_requests import SnapshotRequests, by_first_id
from sidecar.sync.unreadable import UnreadableCompanies
from sidecar.watch.watchlist import Watchlist

ABSENT_US: Final = 60 * SECOND_US
"""How long a company that the plane does not have is not asked for again; if it comes into being
meanwhile, the watch brings it."""
SILENCE_SECONDS: Final = 20.0
"""The plane speaks every 5 seconds on a watch; past this silence the stream is given up."""

log = structlog.get_logger(__name__)


class PlaneWatcher:
    """Keeps the directory in line with the plane, for as long as `run` is running.

    `everyone`: hold all companies; otherwise those that were asked for. `fetch_seconds`: how long a
    call waits for a company's first snapshot. `catalog_known` is set once there is a catalog.
    `lost_contact` is called when the plane does not answer, or is another one. `watchlist`: who is
    woken by news. `hearing` takes over totals, and `keeper` keeps how many of them were told.
    """

    def __init__(
        self,
        store: Store,
        snapshots: Snapshots,
        directory: Directory,
        runner: Runner,
        plane: PlaneClient,
        hearing: TotalsApplier,
        keeper: CoverageKeeper,
        *,
        everyone: bool,
        now: Callable[[], int],
        fetch_seconds: float,
        catalog_known: asyncio.Event,
        lost_contact: Callable[[], None],
        watchlist: Watchlist,
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self._hearing = hearing
        self._keeper = keeper
        self._applying = ChangesApplier(directory, runner, watchlist, catalog_known)
        self._directory = directory
        self._runner = runner
        self._plane = plane
        self._everyone = everyone
        self._now = now
        self._fetch_seconds = fetch_seconds
        self._lost_contact = lost_contact
        self._watchlist = watchlist
        position = snapshots.position()
        self._machine = WatchMachine(position.epoch, position.revision)
        self._reached = Reached(position.revision)
        self.retry_wait = RetryWait()
        self._seen: set[str] | None = None
        self._totals = TotalsRefresh(
            store,
            snapshots,
            directory,
            runner,
            plane,
            hearing,
            keeper,
            everyone=everyone,
            now=now,
            ask=self._ask_for_totals,
        )
        self._is_away = self._is_failing = False
        self._fetches = SharedFetches(self._fetch, fetch_seconds)
        self._followed = FollowedCompanies(directory, runner, self._fetches, watchlist)
        self._requests = SnapshotRequests(plane, directory)
        self._unreadable = UnreadableCompanies(self._ask_again)

    @property
    def revision(self) -> int:
        """Revision of the plane that has been applied."""
        return self._reached.revision

    @property
    def unreadable_companies(self) -> int:
        """Companies whose last news from the plane could not be read."""
        return len(self._unreadable)

    async def run(self) -> None:
        """Follow until cancelled."""
        async with contextlib.aclosing(self._unreadable):
            while True:
                try:
                    await self._follow()
                    self.retry_wait.succeeded()
                except (PlaneAway, TimeoutError) as error:
                    self._away(str(error) or "silence")
                except Exception as error:  # whatever it is, an exchange failed; told once
                    if not self._is_failing:
                        reason = getattr(error, "reason", "INTERNAL")
                        log.exception("sync.watch_failed", error=str(error), reason=reason)
                    self._is_failing = True
                await self.retry_wait.rest()

    async def fetch(self, companies: Sequence[str], seconds: float | None) -> None:
        """Get companies that are not held, as long as the caller and the settings let it wait.

        Those whose news cannot be read are asked for in the background alone.
        """
        await self._fetches.fetch(self._unreadable.others(companies), seconds)

    async def _follow(self) -> None:
        revision = self._machine.resume_revision()
        self._seen = set() if revision == 0 and self._everyone else None
        incarnation = self._store.incarnation.id
        # Before all that a start from nothing brings: what changes from here on is asked for.
        began_us, began_at = self._now(), 0 if revision else await self._totals.newest_version()
        stream = self._plane.watch(
            incarnation,
            revision,
            without_companies=not self._everyone,
            wanted=None if self._everyone else self._followed.among,
        )
        self._keeper.coverage.stream_began()
        refreshed = False
        while True:
            async with asyncio.timeout(SILENCE_SECONDS):
                step = await anext(stream, None)
            if step is None:
                return
            if self._store.incarnation.id != incarnation:
                # What a total says to be own is then others': watch as who this store now is.
                await stream.aclose()
                return
            action = self._stepped(step)
            if isinstance(action, StartOver):
                self._reached.start_over()
                log.warning("sync.plane_epoch_changed", epoch=self._machine.epoch)
                self._lost_contact()  # to greet it: one that was back at once was never away
                await stream.aclose()
                return
            # Before the snapshots: who is held from now on is not decided without its usage.
            await self._hear(incarnation, step)
            if action is not None:
                await self._apply(action)
            # Only now: a stream that brings what cannot be applied gets nowhere.
            self.retry_wait.succeeded()
            self._is_away = self._is_failing = False
            if not refreshed and step.complete:
                refreshed = True
                # Who watches a company that could not be had while the plane was away asks again.
                self._fetches.resume()
                self._watchlist.touch_all()
                if not revision:
                    await self._keeper.restarted(began_at, began_us)
                self._totals.start()
            elif refreshed:
                await self._keeper.plane_spoke()
                self._totals.ensure()

    async def _hear(self, incarnation: str, step: WatchStep) -> None:
        follows = None if self._everyone else self._followed.follows
        if await self._hearing.hear(incarnation, step.totals, follows):
            self._keeper.coverage.told(step.totals_after, step.totals_until)

    def _stepped(self, step: WatchStep) -> Apply | StartOver | None:
        self._unreadable.told(step.companies, step.removed, step.unreadable)
        if self._seen is not None:
            self._seen.update(step.unreadable)
        applied_early = self._machine.applied_early
        action = self._machine.stepped(step)
        if self._machine.applied_early > applied_early:
            log.warning("sync.too_many_changes_at_once", held_back_max=HELD_BACK_MAX)
        return action

    async def _apply(self, action: Apply) -> None:
        try:
            await self._carry_out(action)
        except (FieldError, PlaneAway):
            self._machine.not_applied()
            raise

    async def _carry_out(self, action: Apply) -> None:
        companies = action.companies
        if self._seen is not None:
            self._seen.update(snapshot.company for snapshot in companies)
        self._fetches.note_outdated(action.removed)
        revision = action.revision
        reached = None if revision is None else WatchPosition(action.epoch, revision)
        position = None if self._unreadable else reached
        if action.all_known:
            # The position comes last: until the rest is done, a restart starts over.
            await self._write(
                SnapshotChanges(action.catalog, companies, action.removed, replace=action.replace)
            )
            await self._renew_or_drop()
            await self._write(SnapshotChanges(position=position), reached)
        else:
            await self._write(
                SnapshotChanges(
                    action.catalog, companies, action.removed, position, replace=action.replace
                ),
                reached,
            )

    async def _write(self, changes: SnapshotChanges, reached: WatchPosition | None = None) -> None:
        """Apply changes. `reached`: where they lead to, whether or not the store is to know."""
        await self._applying.apply(changes)
        await self._reached.note(reached)

    def refresh_totals_soon(self) -> None:
        """Totals that changed while there was no stream are not repeated: ask for them."""
        self._totals.start()

    async def _ask_for_totals(self, companies: Sequence[str]) -> None:
        """The totals alone are kept: snapshots come in order on the stream, removals too."""
        incarnation = self._store.incarnation.id
        async for asked, fetched in self._requests.answers(incarnation, companies, SILENCE_SECONDS):
            await self._totals.hear_all(incarnation, asked, fetched.totals)

    async def _renew_or_drop(self) -> None:
        """After a start from nothing: get rid of, or renew, what was known from before."""
        if self._seen is None:
            # Who was absent may be there by now, and no news will say so.
            for absent in pages(await self._runner.run_alone(self._directory.absent), CHUNK):
                await self._renew(absent)
        after = ""
        while True:
            held = await self._runner.run_alone(partial(self._snapshots.company_ids, after, CHUNK))
            if not held:
                break
            after = held[-1]
            if self._seen is None:
                await self._renew(held)
            else:
                gone = [name for name in held if name not in self._seen]
                if gone:
                    await self._write(SnapshotChanges(removed=gone))
            await asyncio.sleep(0)
        self._seen = None

    async def _renew(self, companies: Sequence[str]) -> None:
        incarnation = self._store.incarnation.id
        async for asked, told in self._requests.answers(incarnation, companies, SILENCE_SECONDS):
            fetched, called_otherwise = by_first_id(asked, told)
            changes = SnapshotChanges(
                fetched.catalog, fetched.companies, fetched.unknown, replace=True
            )
            await self._totals.hear_all(incarnation, asked, fetched.totals)
            await self._write(changes)
            if called_otherwise:
                await self._renew(called_otherwise)

    async def _fetch(self, companies: Sequence[str]) -> bool:
        incarnation, seconds = self._store.incarnation.id, self._fetch_seconds
        try:
            async for asked, told in self._requests.answers(incarnation, companies, seconds):
                fetched, called_otherwise = by_first_id(asked, told)
                await self._take(incarnation, asked, fetched)
                await self._fetches.fetch(called_otherwise, seconds)
        except (PlaneAway, FieldError) as error:
            self._away(str(error))
            return False
        return True

    async def _take(self, incarnation: str, asked: Sequence[str], fetched: FetchAnswer) -> None:
        """Keep what was asked for."""
        began_us = self._now()
        if self._directory.index is not None:
            # Let the watch bring what is newer here first, with all that was changed along with it:
            # taken from here alone, others would for a moment be decided by a mixture.
            await self._reached.wait(fetched.version, self._fetch_seconds)
        # Before the snapshots: of whoever is held it is known what others used, or what is not.
        await self._totals.hear_first(incarnation, asked, fetched.totals)
        await self._keeper.began_anew(fetched.totals.version, began_us)
        changes = SnapshotChanges(fetched.catalog, fetched.companies)
        await self._applying.apply(changes, without=self._fetches.outdated)
        absent = sorted(set(asked).intersection(fetched.unknown) - self._fetches.outdated)
        if absent:
            remember, until_us = self._directory.remember_absent, self._now() + ABSENT_US
            revision = self._reached.revision
            await self._runner.run_alone(partial(remember, absent, until_us, revision))
        self._unreadable.told(fetched.companies, fetched.unknown, fetched.unreadable)
        self._watchlist.applied(SnapshotChanges(removed=fetched.unknown))

    async def _ask_again(self, companies: Sequence[str]) -> None:
        """Get companies whose news could not be read; once all can be, the position moves on."""
        await self._fetches.fetch(companies, None)
        if not self._unreadable and self._reached.position is not None:
            await self._write(SnapshotChanges(position=self._reached.position))

    def _away(self, why: str) -> None:
        """Log the start of an outage, once: calls go on during it, and must not write lines."""
        if not self._is_away:
            log.warning("sync.watch_interrupted", error=why)
        self._is_away = True
        self._lost_contact()
