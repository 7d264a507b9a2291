"""The methods of `EnforcementService` about seats: bytes in, bytes out.

Whether a holder has a seat is answered in the turn in which it is asked, where it is known here;
else the call waits in a task, within its caller's deadline, until the control plane was asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Final, Protocol

import msgspec

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.bounds import EVENT_PAST_US_MAX
from sidecar.domain.errors import InvalidInput
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.limits.decision import Decision
from sidecar.domain.limits.usage import QuotaUsage
from sidecar.domain.seats.model import Seat, SeatRequest, SeatResult
from sidecar.domain.text import KNOWN_NAMES, NEW_NAMES
from sidecar.domain.time.windows import LIFETIME_WINDOW
from sidecar.engine.needs import NOTHING, Needs
from sidecar.engine.runner import Runner
from sidecar.engine.seat_answers import ReleaseAnswer, SeatAnswer, SeatAsk
from sidecar.engine.seats import SeatEngine
from sidecar.rpc import parse, response_messages
from sidecar.rpc.deciding import Deciding
from sidecar.rpc.response_encoder import ResponseEncoder
from sidecar.rpc.snapshot_fetch import SnapshotFetcher
from sidecar.shared.convert.times import timestamp, timestamp_or_none
from sidecar.shared.host.context import CallContext, HostedCall
from sidecar.shared.page_tokens import bad_token, decode_place, encode_place
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction

PAGE_MAX: Final = 1_000
_NO_RECORD: Final = b"\x12\x00"


class SeatSource(Protocol):
    """Where the plane is asked for seats."""

    async def ask(self, request: SeatRequest, seconds: float | None) -> SeatResult | None:
        """Ask, within the caller's remaining time; `None`: it could not be asked."""
        ...

    async def list_page(
        self, counter: CounterName, behind: str, most: int, seconds: float | None
    ) -> tuple[list[Seat], bool] | None:
        """Seats of a counter behind a holder, and whether there are more; `None`: as above."""
        ...

    def note_untold(self) -> None:
        """Something was done without the plane."""
        ...


class ListPlace(msgspec.Struct, frozen=True):
    """Behind which holder of the limit of which number a list goes on, in windows of `at_us`."""

    at_us: int
    limit: int
    holder: str


class SeatMethods:
    """Answers calls about seats. `source`: `None` where this process decides alone."""

    def __init__(
        self,
        store: Store,
        engine: SeatEngine,
        runner: Runner,
        snapshot_fetcher: SnapshotFetcher,
        source: SeatSource | None,
        deciding: Deciding,
    ) -> None:
        self.transact = store.transact
        self.engine = engine
        self.runner = runner
        self.snapshot_fetcher = snapshot_fetcher
        self.source = source
        self.deciding = deciding
        self.encode = ResponseEncoder()
        self._waiting: set[asyncio.Task[None]] = set()

    def acquire_seat(self, call: HostedCall) -> None:
        """Give a holder a seat."""
        self.runner.submit(_AcquireJob(self, call))

    def wait(self, job: _AcquireJob, result: Needs | SeatAsk) -> None:
        """Let a call wait, in a task of its own, for what it needs."""
        try:
            job.defer()
        except Exception as error:
            job.fail(error)
            return
        task = asyncio.create_task(job.get(result))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def release_seat(self, data: bytes, context: CallContext) -> bytes:
        """Take a holder's seat back."""
        message = parse.parse_message(pb.ReleaseSeatRequest, data)
        now_us = self.deciding.now()
        request = _release_request(message, now_us)
        async with self.snapshot_fetcher.obtained(
            frozenset((request.company,)), now_us, context.time_remaining
        ):
            result = await self._step(lambda step: self.engine.release(step, request))
            if isinstance(result, SeatAsk):
                assert self.source is not None, "it does not decide alone"
                told = await self.source.ask(request, context.time_remaining())
                result = await self._step(lambda step: self.engine.released(step, request, told))
                if told is None:
                    self.source.note_untold()
        assert isinstance(result, ReleaseAnswer)
        if result.released:
            self.deciding.touch(message)
        response = pb.ReleaseSeatResponse(
            released=result.released, counts_until=timestamp_or_none(result.counts_until_us)
        )
        response_messages.fill_basis(response.basis, result.basis)
        return response.SerializeToString()

    async def list_seats(self, data: bytes, context: CallContext) -> bytes:
        """Who holds seats: as the plane knows, or else as far as was heard here."""
        request = parse.parse_message(pb.ListSeatsRequest, data)
        company = KNOWN_NAMES.require_identifier("company", request.company)
        feature = KNOWN_NAMES.require_identifier("feature", request.feature)
        if not 0 <= request.page_size <= PAGE_MAX:
            raise InvalidInput("page_size", f"must be 0 to {PAGE_MAX}, is {request.page_size}")
        now_us = self.deciding.now()
        place = _place_of(request.page_token, now_us)
        async with self.snapshot_fetcher.obtained(
            frozenset((company,)), now_us, context.time_remaining
        ):
            usages, names, basis = await self._step(
                lambda step: self.engine.limits(step, company, feature, place.at_us)
            )
        response = pb.ListSeatsResponse()
        response_messages.fill_basis(response.basis, basis)
        for usage in usages:
            response_messages.fill_limit_status(response.limits.add(), usage)
        most, behind = request.page_size or PAGE_MAX, place.holder
        for number in range(place.limit, len(names)):
            room = most - len(response.seats)
            seats, after = await self._page(names[number], behind, room, context, response)
            behind = ""
            response.seats.extend(_seat_message(seat, usages[number].id) for seat in seats)
            is_full = len(response.seats) == most and number + 1 < len(names)
            if after or is_full:
                last = after or seats[-1].holder
                response.next_page_token = encode_place(ListPlace(place.at_us, number, last))
                break
        return response.SerializeToString()

    async def _page(
        self,
        counter: CounterName,
        behind: str,
        most: int,
        context: CallContext,
        response: pb.ListSeatsResponse,
    ) -> tuple[Sequence[Seat], str]:
        """Seats behind a holder, and behind which one it goes on; empty for the end."""
        if self.source is not None:
            told = await self.source.list_page(counter, behind, most, context.time_remaining())
            if told is not None:
                found, more = told
                return found, found[-1].holder if more and found else ""
            response.partial = True
        seats = self.engine.seats
        found, after = await self._step(lambda step: seats.listed(step, counter, behind, most))
        return found, after

    async def _step(self, work: Any) -> Any:
        return await self.runner.run(lambda: self.transact(work))


class _AcquireJob:
    """A call of AcquireSeat."""

    __slots__ = ("_call", "_methods", "_request", "_started_ns")

    def __init__(self, methods: SeatMethods, call: HostedCall) -> None:
        self._methods = methods
        self._call = call
        self._started_ns = time.perf_counter_ns()
        self._request: SeatRequest | None = None

    def defer(self) -> None:
        """The answer comes later. Raises where too many calls wait."""
        self._call.defer()

    def step(self, step: Transaction) -> SeatAnswer | SeatAsk | Needs:
        """Look whether the holder has a seat here."""
        message = parse.parse_message(pb.AcquireSeatRequest, self._call.message)
        holder = NEW_NAMES.require_identifier("holder", message.holder)
        company, feature, now_us = message.company, message.feature, self._methods.deciding.now()
        request = self._request = SeatRequest(company, feature, holder, now_us)
        result = self._methods.engine.acquire(step, request)
        if type(result) is not SeatAnswer or not result.decision.allowed:
            # Of whom a seat is known these are names that there are: others are looked at.
            KNOWN_NAMES.require_identifier("company", company)
            KNOWN_NAMES.require_identifier("feature", feature)
        return result

    def settle(self, result: Any, error: Exception | None) -> None:
        """Answer the call, or let it wait."""
        if error is not None:
            self.fail(error)
        elif type(result) is SeatAnswer:
            self._call.answer(self._encoded(result))
        else:
            self._methods.wait(self, result)

    async def get(self, result: SeatAnswer | SeatAsk | Needs) -> None:
        """Get what the call needs, and answer it."""
        try:
            self.settle(await self._got(result), None)
        except Exception as error:
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """End the call with an error."""
        self._methods.deciding.failed(error)
        self._call.fail(error)

    async def _got(self, result: SeatAnswer | SeatAsk | Needs) -> SeatAnswer:
        request, methods = self._request, self._methods
        assert request is not None, "it was parsed"
        engine, remaining = methods.engine, self._call.time_remaining

        def again(asked: Needs) -> SeatAnswer | SeatAsk | Needs:
            return methods.transact(lambda step: engine.acquire(step, request, asked))

        with_company = frozenset((request.company,))
        if isinstance(result, Needs):
            fetcher = methods.snapshot_fetcher
            result = await fetcher.run_again(again, result, request.at_us, remaining, NOTHING)
        if isinstance(result, SeatAsk):
            assert methods.source is not None, "it does not decide alone"
            ask = result.request
            async with methods.snapshot_fetcher.obtained(with_company, request.at_us, remaining):
                told = await methods.source.ask(ask, remaining())
                result = await methods.runner.run(
                    lambda: methods.transact(lambda step: engine.told(step, ask, told))
                )
            if told is None:
                methods.source.note_untold()
        assert isinstance(result, SeatAnswer), "nothing more is needed"
        return result

    def _encoded(self, answer: SeatAnswer) -> bytes:
        request, deciding = self._request, self._methods.deciding
        assert request is not None, "it was parsed"
        took_ns = time.perf_counter_ns() - self._started_ns
        deciding.decided(request.feature, answer.decision, answer.basis, took_ns)
        decision = answer.decision
        if not answer.assigned and _is_plain(decision):
            # Field 1 of both answers is the decision: that of a check is written by hand, and ends
            # in an empty record id.
            return self._methods.encode(decision, answer.basis, "").removesuffix(_NO_RECORD)
        response = pb.AcquireSeatResponse(
            assigned=answer.assigned, swaps_used_up=answer.swaps_used_up
        )
        response_messages.fill_decision(response.decision, answer.decision, answer.basis)
        if answer.assigned:
            deciding.touch(request)
        return response.SerializeToString()


def _is_plain(decision: Decision) -> bool:
    """Whether nothing but a limit is told with it."""
    return (
        decision.allowed
        and type(decision.binding) is QuotaUsage
        and decision.would_deny is None
        and not decision.dimension_problem
    )


def _release_request(message: pb.ReleaseSeatRequest, now_us: int) -> SeatRequest:
    """Raises `InvalidInput` for names that there cannot be."""
    return SeatRequest(
        KNOWN_NAMES.require_identifier("company", message.company),
        KNOWN_NAMES.require_identifier("feature", message.feature),
        KNOWN_NAMES.require_identifier("holder", message.holder),
        now_us,
        is_release=True,
    )


def _seat_message(seat: Seat, limit: str) -> pb.Seat:
    end_us = seat.counter.counter.window.end_us
    return pb.Seat(
        holder=seat.holder,
        assigned_at=timestamp(seat.assigned_us),
        limit=limit,
        counts_until=None if end_us == LIFETIME_WINDOW.end_us else timestamp(end_us),
    )


def _place_of(token: str, now_us: int) -> ListPlace:
    if not token:
        return ListPlace(now_us, 0, "")
    place = decode_place(token, ListPlace)
    if place.limit < 0 or (place.holder and KNOWN_NAMES.identifier_problem(place.holder)):
        raise bad_token()
    if not 0 <= now_us - place.at_us <= EVENT_PAST_US_MAX:
        raise bad_token()
    return place
