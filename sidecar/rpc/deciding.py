"""From the message of a check to its outcome, and from the outcome to bytes; and who is told of it.

Where a check is usual, its answer is there at once; else it is parsed, and decided by the rules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeAlias

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.errors import FieldError
from sidecar.domain.limits.decision import Decision
from sidecar.domain.limits.reasons import Basis, FallbackCause, Reason
from sidecar.domain.limits.requests import NO_ATTRIBUTES, Check
from sidecar.engine.enforce import Answer, EncodeResponse, Enforcer, Replay
from sidecar.engine.needs import Needs
from sidecar.engine.usual_check import UsualChecks
from sidecar.rpc import parse, response_messages
from sidecar.rpc.batch_room import BatchRoom
from sidecar.storage.transaction import Transaction
from sidecar.watch.watchlist import Watchlist

MESSAGE_BYTES_MAX: Final = 4 << 20
"""What clients of gRPC take of one message, unless they are told otherwise."""

Request: TypeAlias = pb.CheckAndIncrementRequest | pb.RecordUsageRequest
Decided: TypeAlias = Answer | Replay | bytes
"""What came of a check; bytes are the whole answer to a usual one."""


class Touching(Protocol):
    """What a request concerns."""

    @property
    def company(self) -> str: ...

    @property
    def feature(self) -> str: ...


class Observer(Protocol):
    """Counts what was decided; called for every decision, so it must be cheap."""

    def decided(
        self, feature: str, allowed: bool, reason: Reason, replayed: bool, nanoseconds: int
    ) -> None:
        """A check was answered, after so long."""
        ...

    def counted(self, feature: str, nanoseconds: int) -> None:
        """A usual check was allowed and counted, after so long."""
        ...

    def fell_back(self, cause: FallbackCause, allowed: bool) -> None:
        """The fail policy decided about a check."""
        ...

    def shadow_denied(self, feature: str, limits: Sequence[str]) -> None:
        """SHADOW limits of a feature would have denied a check."""
        ...

    def fell_low(self, feature: str) -> None:
        """A check took a balance of credits to a low one, or below."""
        ...

    def failed(self, reason: str) -> None:
        """A check could not be answered."""
        ...


class Deciding:
    """Decides about messages. `now` gives microseconds by the plane's clock.

    `usual`: `None` where every check goes the general way. `watchlist`: who is to be woken by what
    is counted; `None`: nobody ever. `counted` is told feature and nanoseconds of each usual
    check, and `touch` is due while somebody is `watched`.
    """

    def __init__(
        self,
        enforcer: Enforcer,
        usual: UsualChecks | None,
        encode: EncodeResponse,
        observer: Observer,
        now: Callable[[], int],
        watchlist: Watchlist | None = None,
        message_bytes_max: int = MESSAGE_BYTES_MAX,
    ) -> None:
        self.now = now
        self._enforcer = enforcer
        self._room = BatchRoom(enforcer, message_bytes_max)
        self._usual = usual
        self._encode = encode
        self._observer = observer
        self.counted = observer.counted
        self._watchlist = watchlist
        self.watched = {} if watchlist is None else watchlist.watched

    def usual_answer(
        self, transaction: Transaction, request: pb.CheckAndIncrementRequest, now_us: int
    ) -> bytes | None:
        """Decide about a check, and count it, if it is usual; the bytes of its answer."""
        usual = self._usual
        if usual is None or request.grant_mode > 1 or request.HasField("event_time"):
            return None
        dimensions = metadata = NO_ATTRIBUTES
        if request.dimensions or request.metadata:
            try:
                dimensions, metadata = parse.attributes(request)
            except FieldError:
                return None  # the general way says which field is the first that is wrong
        quantity = request.quantity
        if quantity == 0 and not request.HasField("quantity"):
            quantity = 1
        return usual.answer(
            transaction,
            request.company,
            request.feature,
            quantity,
            request.idempotency_key,
            dimensions,
            metadata,
            now_us,
        )

    def by_the_rules(
        self, request: pb.CheckAndIncrementRequest, now_us: int, asked: Needs
    ) -> Decided | Needs:
        """Decide about a check that is not usual, and count it."""
        check = parse.parse_check(request, now_us)
        return self._enforcer.check_and_increment(check, now_us, asked)

    def report(self, request: pb.RecordUsageRequest, asked: Needs) -> Decided | Needs:
        """Record what has happened."""
        now_us = self.now()
        check = parse.parse_record(request, now_us)
        return self._enforcer.check_and_increment(check, now_us, asked)

    def checks(
        self,
        transaction: Transaction,
        requests: Sequence[pb.CheckAndIncrementRequest],
        asked: Needs,
        request_bytes: int,
    ) -> list[Decided | FieldError] | Needs:
        """Decide about each, in order, and count it; none before nothing is needed any more.

        `request_bytes`: of all together. Raises `InvalidInput`, and counts nothing, where the
        answers may not fit one message.
        """
        now_us = self.now()
        most_bytes = self._room.require(requests, request_bytes, now_us)
        outcomes = self._outcomes(transaction, requests, now_us, asked)
        if most_bytes is None or isinstance(outcomes, Needs):
            return outcomes
        return self._room.with_what_fits(outcomes, most_bytes, request_bytes)

    def _outcomes(
        self,
        transaction: Transaction,
        requests: Sequence[pb.CheckAndIncrementRequest],
        now_us: int,
        asked: Needs,
    ) -> list[Decided | FieldError] | Needs:
        if any(request.HasField("event_time") for request in requests) or not (
            self._enforcer.holds_all({request.company for request in requests}, now_us)
        ):
            return self._parsed_checks(requests, now_us, asked)
        if self._enforcer.uses_leases:
            checks = [parse.Unchecked(request, now_us) for request in requests]
            needs = self._enforcer.lease_needs(transaction, checks, now_us, asked)
            if needs:
                return needs
        return [self._one_of_many(transaction, request, now_us, asked) for request in requests]

    def _one_of_many(
        self,
        transaction: Transaction,
        request: pb.CheckAndIncrementRequest,
        now_us: int,
        asked: Needs,
    ) -> Decided | FieldError:
        try:
            usual = self.usual_answer(transaction, request, now_us)
            if usual is not None:
                return usual
            check = parse.parse_check(request, now_us)
        except FieldError as error:
            return error
        return self._enforcer.attempt(check, now_us, asked)

    def _parsed_checks(
        self, requests: Sequence[pb.CheckAndIncrementRequest], now_us: int, asked: Needs
    ) -> list[Decided | FieldError] | Needs:
        checks: list[Check | FieldError] = []
        for request in requests:
            try:
                checks.append(parse.parse_check(request, now_us))
            except FieldError as error:
                checks.append(error)
        outcomes = self._enforcer.check_and_increment_each(checks, now_us, asked)
        return outcomes if isinstance(outcomes, Needs) else [*outcomes]

    def encoded(self, request: Request, outcome: Decided, took_ns: int) -> bytes:
        """The bytes of a `CheckAndIncrementResponse`; whoever wants to know is told."""
        observer = self._observer
        if type(outcome) is bytes:
            allowed, data = True, outcome
            observer.counted(request.feature, took_ns)
        elif type(outcome) is Replay:
            allowed, data = True, response_messages.replayed(outcome.kept)
            observer.decided(request.feature, True, Reason.ALLOWED, True, took_ns)
        else:
            assert isinstance(outcome, Answer)
            allowed, data = outcome.decision.allowed, self._encoded_answer(outcome)
            self.decided(request.feature, outcome.decision, outcome.basis, took_ns)
        if allowed and self.watched:
            self.touch(request)
        return data

    def decided(self, feature: str, decision: Decision, basis: Basis, took_ns: int) -> None:
        """A decision was made: whoever wants to know is told."""
        observer, allowed = self._observer, decision.allowed
        observer.decided(feature, allowed, decision.reason, False, took_ns)
        if basis.fallback:
            observer.fell_back(basis.fallback, allowed)
        if decision.shadow_denials:
            observer.shadow_denied(feature, decision.shadow_denials)
        for burned in decision.burned:
            if burned.low_balance:
                observer.fell_low(burned.feature)

    def touch(self, request: Touching) -> None:
        """Wake those who watch what a request counted on."""
        if self._watchlist is not None:
            company = self._enforcer.first_id(request.company)
            for feature in (request.feature, *self._enforcer.balances_of(request.feature)):
                self._watchlist.touch(company, feature)

    def failed(self, error: Exception) -> None:
        """A check could not be answered: whoever wants to know is told."""
        self._observer.failed(error.reason if isinstance(error, FieldError) else "INTERNAL")

    def _encoded_answer(self, answer: Answer) -> bytes:
        return answer.kept or self._encode(answer.decision, answer.basis, answer.record_id)
