"""The stream `WatchEntitlements`, without gRPC: bytes go in, an iterator of bytes comes out.

A watch reads its company's state and tells it; then it waits until it is woken, or until the next
instant at which time alone changes something, reads again, and tells what has changed. A reader
that is slow holds back its own watch alone, and then gets the latest state.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Iterator, Mapping
from typing import Final

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.errors import InvalidInput
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.limits.requests import require_dimensions
from sidecar.domain.text import KNOWN_NAMES
from sidecar.domain.time.units import SECOND_US
from sidecar.engine.request_dimensions import RequestDimensions
from sidecar.engine.runner import Runner
from sidecar.engine.slicing import in_steps
from sidecar.rpc import parse, response_messages
from sidecar.rpc.snapshot_fetch import SnapshotFetcher
from sidecar.shared.host.context import CallContext
from sidecar.watch.events import EventKind, FeatureState, WatchEvent, changes, current
from sidecar.watch.states import FEATURES_MAX, CompanyState, StateReader, Subject
from sidecar.watch.watchlist import Watch, Watchlist

COALESCE_SECONDS: Final = 0.05
"""What happens within so long after a wake-up is told as one."""
CLOCK_SECONDS_MAX: Final = 60.0
"""After so long the clock is looked at again: the plane may have corrected it."""
_READS_AT_ONCE: Final = 4
"""Watches that read at once: when all are woken, calls go on in between."""


class WatchMethods:
    """Tells what changes. `now` gives microseconds by the plane's clock."""

    def __init__(
        self,
        reader: StateReader,
        watchlist: Watchlist,
        runner: Runner,
        snapshot_fetcher: SnapshotFetcher,
        dimensions: RequestDimensions,
        now: Callable[[], int],
    ) -> None:
        self._reader = reader
        self._watchlist = watchlist
        self._runner = runner
        self._snapshot_fetcher = snapshot_fetcher
        self._dimensions = dimensions
        self._now = now
        self._turns = asyncio.Semaphore(_READS_AT_ONCE)

    async def watch_entitlements(
        self, data: bytes, context: CallContext
    ) -> AsyncGenerator[bytes, None]:
        """Events of a company, until the caller goes away or the sidecar stops."""
        subject = _subject(data)
        with self._watchlist.watching(subject.company) as watch:
            told: dict[str, FeatureState] = {}
            await self._obtain(subject, context)
            self._reader.require_features(subject)
            company, now_us = await self._read(subject, told, None)
            features = [state.feature for state in company.features]
            self._dimensions.require_watched(features, subject.dimensions)
            until_us = company.until_us
            events = [current(state) for state in company.features]
            while True:
                # Before the first event goes out, so that what is touched meanwhile is known.
                told.update((state.feature, state) for state in company.features)
                for event in events:
                    yield _encode(event, now_us)
                    await asyncio.sleep(0)
                touched = await self._changed(watch, told, until_us)
                if touched is None:
                    await self._obtain(subject, context)
                company, now_us = await self._read(subject, told, touched)
                if touched is None:
                    until_us = company.until_us
                events = list(_changes(told, company.features))

    async def _obtain(self, subject: Subject, context: CallContext) -> None:
        await self._snapshot_fetcher.obtain({subject.company}, self._now(), context.time_remaining)

    async def _read(
        self, subject: Subject, told: Collection[str], touched: Collection[str] | None
    ) -> tuple[CompanyState, int]:
        """The state, and the instant at which they were read."""
        async with self._turns:
            await asyncio.sleep(0)
            now_us = self._now()
            company = await in_steps(
                self._runner, self._reader.read(subject, told, touched, now_us)
            )
            self._watchlist.note_called(subject.company, company.company)
            return company, now_us

    async def _changed(
        self, watch: Watch, told: Mapping[str, FeatureState], until_us: int
    ) -> list[str] | None:
        """Wait until features may have changed; which ones, `None` for all of them.

        `until_us`: when the company's segment ends.
        """
        due_us = min([until_us, *(state.until_us for state in told.values())])
        while True:
            touched: set[str] | None = set()
            seconds = (due_us - self._now()) / SECOND_US
            if await watch.woken(max(0.0, min(seconds, CLOCK_SECONDS_MAX))):
                await asyncio.sleep(COALESCE_SECONDS)
                touched = watch.take()
            now_us = self._now()
            if touched is None or until_us <= now_us:
                return None
            features = [
                feature
                for feature, state in told.items()
                if feature in touched or state.until_us <= now_us
            ]
            if features:
                return features


def _changes(
    told: Mapping[str, FeatureState], states: Iterable[FeatureState]
) -> Iterator[WatchEvent]:
    for state in states:
        # Of what the company was not entitled to so far, nothing was told.
        yield from changes(told.get(state.feature) or FeatureState(state.feature), state)


def _subject(data: bytes) -> Subject:
    request = parse.parse_message(pb.WatchEntitlementsRequest, data)
    KNOWN_NAMES.require_identifier("company", request.company)
    if len(request.features) > FEATURES_MAX:
        raise InvalidInput("features", f"must have at most {FEATURES_MAX} entries")
    for at, feature in enumerate(request.features):
        KNOWN_NAMES.require_identifier(f"features[{at}]", feature)
    dimensions = dict(request.dimensions)
    require_dimensions("dimensions", dimensions)
    return Subject(request.company, tuple(request.features), dimensions)


def _encode(event: WatchEvent, now_us: int) -> bytes:
    state = event.state
    message = pb.WatchEntitlementsResponse(
        event=event.kind,  # type: ignore[arg-type]  # the numbers are the API's
        feature=state.feature,
        percent=event.percent,
        low_balance=event.low_balance,
    )
    if event.kind in (EventKind.CURRENT, EventKind.CHANGED):
        message.entitlement.CopyFrom(_entitlement(state))
        message.status = state.status  # type: ignore[assignment]  # as above
        message.plan = state.plan
    if state.balance is not None:
        message.balance.balance = state.balance.left
        message.balance.available = state.balance.available
    for usage in event.usages:
        response_messages.fill_limit_status(message.limits.add(), usage)
    message.at.FromMicroseconds(now_us)
    return message.SerializeToString()


def _entitlement(state: FeatureState) -> pb.Entitlement:
    if state.entitlement is None:
        reason = Reason.UNKNOWN_FEATURE
        return pb.Entitlement(reason=reason)  # type: ignore[arg-type]  # as above
    return response_messages.entitlement_to_message(state.entitlement)
