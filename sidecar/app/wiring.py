"""The way of a check, wired: one place, for the daemon, for tests and for benchmarks."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from sidecar.directory.directory import Directory
from sidecar.engine.enforce import Enforcer
from sidecar.engine.plane_status import PlaneStatus
from sidecar.engine.request_dimensions import RequestDimensions
from sidecar.engine.usual_check import UsualChecks
from sidecar.rpc.deciding import MESSAGE_BYTES_MAX, Deciding, Observer
from sidecar.rpc.response_encoder import ResponseEncoder
from sidecar.storage.store import Store
from sidecar.watch.watchlist import Watchlist


class CheckWay(NamedTuple):
    """What answers checks, from the message's fields to the answer's bytes."""

    enforcer: Enforcer
    encode: ResponseEncoder
    deciding: Deciding


def wire_checks(
    store: Store,
    directory: Directory,
    plane_status: PlaneStatus,
    observer: Observer,
    now: Callable[[], int],
    *,
    watchlist: Watchlist | None = None,
    usual: bool = True,
    message_bytes_max: int = MESSAGE_BYTES_MAX,
    dimensions: RequestDimensions | None = None,
) -> CheckWay:
    """`now`: microseconds by the plane's clock. `usual`: whether there is the prepared way."""
    encode = ResponseEncoder()
    basics = (store, directory, plane_status, encode)
    enforcer = Enforcer(*basics, dimensions)
    usual_checks = UsualChecks(*basics) if usual else None
    deciding = Deciding(enforcer, usual_checks, encode, observer, now, watchlist, message_bytes_max)
    return CheckWay(enforcer, encode, deciding)
