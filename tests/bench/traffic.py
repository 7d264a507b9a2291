"""What is sent, and what must come back.

Every request has an idempotency key of its own, random as a client's would be: so the tree is
entered at random places, as in use. Limits are far above what a benchmark counts: every check is
allowed, and each one writes a counter, a record and an answer.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from sidecar.api.admin.v1 import admin_pb2
from sidecar.api.control.v1 import control_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from tests.bench import echo
from tests.bench.catalogs import MEMBERS, MODELS, TOKENS
from tests.bench.errors import BenchError

_API = "/sidecar.api"
_QUANTITY = 5
_USERS = 10
_WORKSPACES = 3
SEATS_EACH: Final = 10
"""Holders of a seat in each company that has seats."""
_CATALOG = """\
features:
  tokens: {kind: metered, unit: token}
  messages: {kind: metered, unit: message}
plans:
  pro:
    entitlements:
      tokens:
        limits:
          monthly: {amount: 1_000_000_000_000, per: month, enforcement: hard}
      messages:
        limits:
          per_user: {amount: 1_000_000_000_000, per: month, each: [user], enforcement: hard}
companies:
"""


def company_id(index: int) -> str:
    """The company of a number."""
    return f"company-{index:06d}"


def user_id(index: int) -> str:
    """The user of a number, within a company."""
    return f"user-{index:06d}"


def idempotency_key() -> str:
    """A key that nobody has used: 128 random bits."""
    return f"{random.getrandbits(128):032x}"


def _dimensions() -> dict[str, str]:
    return {
        "user": user_id(random.randrange(_USERS)),
        "model": random.choice(MODELS),
        "workspace": f"workspace-{random.randrange(_WORKSPACES)}",
        "tier": "large",
    }


def catalog_text(companies: int) -> str:
    """A catalog file with so many companies, all on one plan."""
    lines = (f'  {company_id(index)}: {{plan: pro, anchor: "2025-01-15T00:00:00Z"}}\n'
             for index in range(companies))  # fmt: skip
    return _CATALOG + "".join(lines)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Checks of random companies; with `users`, of random users of them, each with a counter.

    With `feature`, of that one of `limits_catalog`, with a value for each dimension that any of its
    limits has.
    """

    companies: int
    users: int = 0
    feature: str = ""

    def check(self) -> pb.CheckAndIncrementRequest:
        """One request."""
        request = pb.CheckAndIncrementRequest(
            company=company_id(random.randrange(self.companies)),
            feature=self.feature or ("messages" if self.users else TOKENS),
            quantity=_QUANTITY,
            idempotency_key=idempotency_key(),
        )
        if self.users:
            request.dimensions["user"] = user_id(random.randrange(self.users))
        elif self.feature:
            request.dimensions.update(_dimensions())
        return request

    def checks(self, count: int) -> Iterable[bytes]:
        """Bodies of `CheckAndIncrement`."""
        return (self.check().SerializeToString() for _ in range(count))

    def acquisitions(self, count: int) -> Iterable[bytes]:
        """Bodies of `AcquireSeat`, of holders who have theirs."""
        for _ in range(count):
            yield pb.AcquireSeatRequest(
                company=company_id(random.randrange(self.companies)),
                feature=MEMBERS,
                holder=user_id(random.randrange(SEATS_EACH)),
            ).SerializeToString()

    def batches(self, count: int, size: int) -> Iterable[bytes]:
        """Bodies of `BatchCheckAndIncrement`."""
        for _ in range(count):
            checks = [self.check() for _ in range(size)]
            yield pb.BatchCheckAndIncrementRequest(checks=checks).SerializeToString()


@dataclass(frozen=True, slots=True)
class Rpc:
    """A method to call. `verify` raises BenchError for a response that its request must not get."""

    path: str
    verify: Callable[[bytes, bytes], None]


def _verify_echo(request: bytes, response: bytes) -> None:
    if request != response:
        raise BenchError("the echo server did not return the request")


def _verify_check(request: bytes, response: bytes) -> None:
    _require_counted(
        pb.CheckAndIncrementRequest.FromString(request),
        pb.CheckAndIncrementResponse.FromString(response),
    )


def _verify_acquired(request: bytes, response: bytes) -> None:
    answer = pb.AcquireSeatResponse.FromString(response)
    if not answer.decision.allowed or answer.assigned:
        raise BenchError(f"a seat was not held already: {answer}")


def _verify_batch(request: bytes, response: bytes) -> None:
    checks = pb.BatchCheckAndIncrementRequest.FromString(request).checks
    outcomes = pb.BatchCheckAndIncrementResponse.FromString(response).outcomes
    if len(checks) != len(outcomes):
        raise BenchError(f"{len(checks)} checks of a batch got {len(outcomes)} outcomes")
    for check, outcome in zip(checks, outcomes, strict=True):
        if outcome.HasField("error"):
            raise BenchError(f"a check of a batch failed: {outcome.error.message}")
        _require_counted(check, outcome.response)


def _verify_catalog(request: bytes, response: bytes) -> None:
    if not control_pb2.GetCatalogResponse.FromString(response).HasField("catalog"):
        raise BenchError("the control plane has no catalog")


def _verify_status(request: bytes, response: bytes) -> None:
    if not admin_pb2.GetStatusResponse.FromString(response).incarnation:
        raise BenchError("a sidecar does not say who it is")


def _require_counted(
    check: pb.CheckAndIncrementRequest, answer: pb.CheckAndIncrementResponse
) -> None:
    decision = answer.decision
    counted = decision.allowed and decision.granted == check.quantity and answer.record_id
    if not counted or answer.replayed:
        raise BenchError(f"a check was not counted afresh: {answer}")


ECHO = Rpc(echo.METHOD, _verify_echo)
CHECK = Rpc(f"{_API}.enforcement.v1.EnforcementService/CheckAndIncrement", _verify_check)
ACQUIRE = Rpc(f"{_API}.enforcement.v1.EnforcementService/AcquireSeat", _verify_acquired)
BATCH = Rpc(f"{_API}.enforcement.v1.EnforcementService/BatchCheckAndIncrement", _verify_batch)
CATALOG = Rpc(f"{_API}.control.v1.ControlService/GetCatalog", _verify_catalog)
STATUS = Rpc(f"{_API}.admin.v1.AdminService/GetStatus", _verify_status)
