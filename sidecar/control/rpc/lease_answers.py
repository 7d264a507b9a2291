"""A call for leases: its message, what has come of it so far, and the answer to it."""

from __future__ import annotations

from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.rpc.request_validation import require_count, require_incarnation
from sidecar.control.services.leases import AskedLeases, Leased
from sidecar.control.storage.values import CounterKey
from sidecar.domain.bounds import BATCH_MAX, IDENTIFIER_BYTES_MAX
from sidecar.domain.errors import InvalidInput
from sidecar.domain.leases.model import LeaseRequest, LeaseResult
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.text import KNOWN_NAMES
from sidecar.shared.convert.leases import lease_request_from_message, lease_result_to_message
from sidecar.shared.convert.times import timestamp


class LeaseCall:
    """A call of RequestLeases, which is answered in parts. Used by one thread at a time.

    `results`, `recalls`: see `Leased`. `error`: what ended it. `is_left`: nobody waits for it.
    """

    def __init__(self, message: sync_pb2.RequestLeasesRequest) -> None:
        self.results: list[LeaseResult] = []
        self.recalls: dict[tuple[str, CounterKey], None] = {}
        self.error: Exception | None = None
        self.is_left = False
        self._message = message
        self._requests: list[LeaseRequest] | None = None

    @property
    def is_over(self) -> bool:
        """Whether all that was asked for is answered, or an error has ended it."""
        return self.error is not None or len(self.results) == len(self._message.requests)

    def next_part(self, most: int) -> AskedLeases:
        """What is to be answered next, so many requests at most.

        Raises `InvalidInput` for a message that is none, before anything of it was answered.
        """
        if self._requests is None:
            require_incarnation(self._message.incarnation)
            KNOWN_NAMES.require("epoch", self._message.epoch, IDENTIFIER_BYTES_MAX)
            self._requests = _requests(self._message)
        begin = len(self.results)
        some = self._requests[begin : begin + most]
        return AskedLeases(self._message.incarnation, self._message.epoch, some)

    def add(self, leased: Leased) -> None:
        """A part of it was answered."""
        self.results += leased.results
        self.recalls.update(dict.fromkeys(leased.recalls))

    def response(self, now_us: int) -> sync_pb2.RequestLeasesResponse:
        """The answer. Raises what has ended the call."""
        if self.error is not None:
            raise self.error
        return sync_pb2.RequestLeasesResponse(
            results=map(lease_result_to_message, self.results), plane_time=timestamp(now_us)
        )


def _requests(message: sync_pb2.RequestLeasesRequest) -> list[LeaseRequest]:
    require_count("requests", len(message.requests), 1, BATCH_MAX)
    requests: dict[CounterName, LeaseRequest] = {}
    for at, each in enumerate(message.requests):
        request = lease_request_from_message(each, f"requests[{at}]")
        if request.counter in requests:
            raise InvalidInput(f"requests[{at}].counter", "is asked about twice")
        requests[request.counter] = request
    return list(requests.values())
