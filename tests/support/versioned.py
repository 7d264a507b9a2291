"""A catalog whose amounts tell their version, and callers who look out for two in one answer.

Every amount is made of parts: which plan granted it, the version of the company, and that of the
catalog. An add-on that companies hold as many times as their version is brings the second one in.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

from sidecar.api.control.v1 import control_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.api.enforcement.v1 import enforcement_pb2_grpc
from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Plan,
    Rate,
    RateLimit,
    Scope,
)
from sidecar.domain.company.model import AddOnSubscription, Company, Subscription
from sidecar.domain.time.units import SECOND_US
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from sidecar.shared.convert.catalog import catalog_to_message
from sidecar.shared.convert.companies import company_to_message
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.channels import channel_to
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.seeds import seeded

PLANS: Final = ("small", "large")
FEATURES: Final = ("calls", "tokens", "seats")
"""What companies may use; the add-on adds to the last one."""
BATCH: Final = 8
_ADD_ON: Final = "pack"
_RATE: Final = "rate"
_PLAN_PART: Final = 10**12
_COMPANY_PART: Final = 10**6
_REST_SECONDS: Final = 0.002

Api: TypeAlias = "enforcement_pb2_grpc.EnforcementServiceAsyncStub"


def catalog_of(version: int) -> Catalog:
    """The catalog of a version, from 1 on: every limit and rate of every plan is another one."""
    plans = []
    for place, plan in enumerate(PLANS, 1):
        amount = place * _PLAN_PART + version
        limits = (
            Limit("ever", WindowSpec(WindowUnit.LIFETIME), amount),
            Limit("daily", WindowSpec(WindowUnit.DAY), amount),
            Limit("by_user", WindowSpec(WindowUnit.MONTH), amount, scope=Scope(("user",))),
        )
        rates = (RateLimit(_RATE, Rate(_COMPANY_PART, SECOND_US, amount)),)
        grants = [
            EntitlementGrant(FEATURES[0], limits=limits, rates=rates),
            EntitlementGrant(FEATURES[1], limits=limits[:1]),
            EntitlementGrant(FEATURES[2], limits=limits[:2]),
        ]
        plans.append(Plan(plan, entitlements=tuple(sorted(grants, key=lambda g: g.feature))))
    packed = (
        Limit("ever", WindowSpec(WindowUnit.LIFETIME), _COMPANY_PART),
        Limit("daily", WindowSpec(WindowUnit.DAY), _COMPANY_PART),
    )
    add_on = AddOn(
        _ADD_ON, entitlements=(AddOnEntitlement(EntitlementGrant(FEATURES[2], limits=packed)),)
    )
    features = tuple(Feature(key, FeatureKind.METERED) for key in sorted(FEATURES))
    return Catalog(features, tuple(sorted(plans, key=lambda plan: plan.key)), (add_on,))


def company_of(company: str, version: int = 0, plan: str = PLANS[0]) -> Company:
    """A company; with a version, one whose amounts of the last feature tell it."""
    add_ons = (AddOnSubscription(_ADD_ON, version),) if version else ()
    return Company(company, subscription=Subscription(plan, SECOND_US, add_ons=add_ons))


async def apply_version(plane: ControlPlane, version: int, companies: Iterable[Company]) -> int:
    """Apply the catalog of a version, and companies with it; the revision."""
    request = control_pb2.ApplyRequest(
        catalog=catalog_to_message(catalog_of(version)),
        companies=map(company_to_message, companies),
    )
    answer = await plane.control.Apply(request, timeout=HANG_SECONDS_MAX)
    return int(answer.revision)


class Witness:
    """What callers on one sidecar were told.

    `told`: which version they were shown at which revision. `faults`: answers that nobody may get.
    """

    def __init__(self) -> None:
        self.told: set[tuple[int, int]] = set()
        self.calls: defaultdict[int, int] = defaultdict(int)
        self.faults: list[str] = []

    def note(self, answer: object, revisions: Iterable[int], amounts: Sequence[int]) -> None:
        """Take an answer in: all of its amounts have to be of one version."""
        versions = {version for amount in amounts for version in _versions(amount)}
        if len(versions) != 1:
            self.faults.append(f"versions {sorted(versions)} by {amounts} in one answer: {answer}")
            return
        [version] = versions
        self.calls[version] += 1
        self.told.update((revision, version) for revision in revisions)

    def mixed(self, applied: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """What was told of a revision and is not of it. `applied`: revisions with their version."""
        return [
            (revision, version)
            for revision, version in sorted(self.told)
            if version != max(of for since, of in applied if since <= revision)
        ]


class Caller:
    """One client on a connection of its own, who asks for random ones of some companies."""

    def __init__(
        self, api: Api, companies: Sequence[str], witness: Witness, rng: random.Random
    ) -> None:
        self._api = api
        self._companies = companies
        self._witness = witness
        self._rng = rng
        self._newest: dict[str, int] = {}

    async def check(self) -> None:
        """Ask for one decision, and every limit that applies."""
        company = self._rng.choice(self._companies)
        request = pb.CheckRequest(
            company=company, feature=self._rng.choice(FEATURES), dimensions={"user": "ann"}
        )
        answer = await self._api.Check(request, timeout=HANG_SECONDS_MAX)
        # Of the rate it is told what this sidecar's share of it lets pass: that is of no version.
        amounts = [limit.amount for limit in answer.limits if limit.limit != _RATE]
        self._note(answer, [(company, answer.decision)], amounts)

    async def count(self) -> None:
        """Count on one."""
        request = self._request()
        answer = await self._api.CheckAndIncrement(request, timeout=HANG_SECONDS_MAX)
        self._note(answer, [(request.company, answer.decision)])

    async def count_many(self) -> None:
        """Count on several companies and features in one call."""
        checks = [self._request() for _ in range(BATCH)]
        answer = await self._api.BatchCheckAndIncrement(
            pb.BatchCheckAndIncrementRequest(checks=checks), timeout=HANG_SECONDS_MAX
        )
        decisions = [
            (check.company, outcome.response.decision)
            for check, outcome in zip(checks, answer.outcomes, strict=True)
        ]
        self._note(answer, decisions)

    async def look(self) -> None:
        """Ask what a company may do; its plan and the limits have to belong together."""
        company, feature = self._rng.choice(self._companies), self._rng.choice(FEATURES)
        answer = await self._api.GetEntitlement(
            pb.GetEntitlementRequest(company=company, feature=feature), timeout=HANG_SECONDS_MAX
        )
        amounts = [limit.amount for limit in answer.entitlement.limits]
        amounts += [rate.rate.burst for rate in answer.entitlement.rates]
        if {PLANS[amount // _PLAN_PART - 1] for amount in amounts} != {answer.plan}:
            self._witness.faults.append(f"limits of another plan: {answer}")
        self._grow(company, answer.basis)
        self._witness.note(answer, [answer.basis.snapshot_version], amounts)

    def _request(self) -> pb.CheckAndIncrementRequest:
        return pb.CheckAndIncrementRequest(
            company=self._rng.choice(self._companies),
            feature=self._rng.choice(FEATURES),
            dimensions={"user": "ann"},
        )

    def _note(
        self,
        answer: object,
        decisions: Sequence[tuple[str, pb.Decision]],
        amounts: Sequence[int] = (),
    ) -> None:
        for company, decision in decisions:
            if not decision.allowed:
                self._witness.faults.append(f"denied: {answer}")
                return
            self._grow(company, decision.basis)
        revisions = [decision.basis.snapshot_version for _, decision in decisions]
        binding = [decision.binding_limit.amount for _, decision in decisions]
        self._witness.note(answer, revisions, [*amounts, *binding])

    def _grow(self, company: str, basis: pb.Basis) -> None:
        before = self._newest.get(company, 0)
        if basis.snapshot_version < before:
            self._witness.faults.append(f"{company} went back from {before} to {basis}")
        self._newest[company] = basis.snapshot_version


@asynccontextmanager
async def load(sidecar: Sidecar, companies: Sequence[str], seed: int) -> AsyncIterator[Witness]:
    """Call a sidecar in every way, each on a connection of its own, while the block lasts."""
    witness = Witness()
    stop = asyncio.Event()

    async def call(way: str) -> None:
        async with channel_to(sidecar.address) as connection:
            stub = enforcement_pb2_grpc.EnforcementServiceStub(connection)
            ask = getattr(Caller(stub, companies, witness, seeded(f"{seed}-{way}")), way)
            while not stop.is_set():
                await ask()
                await asyncio.sleep(_REST_SECONDS)

    async with asyncio.TaskGroup() as group:
        for way in ("check", "count", "count_many", "look"):
            group.create_task(call(way))
        try:
            yield witness
        finally:
            stop.set()


def _versions(amount: int) -> set[int]:
    """The versions that an amount tells: the catalog's, and the company's if it has one."""
    parts = amount % _PLAN_PART
    return {parts % _COMPANY_PART, parts // _COMPANY_PART or parts % _COMPANY_PART}
