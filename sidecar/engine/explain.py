"""Explain: how an entitlement came about, and what would decide about a check. Counts nothing.

The instant may be any. Of other instants than now it is known what is in force then and what was
counted on their windows; rates are at rest there, since how full one was or will be is not kept.
Of what ended more than 36 days ago, neither is kept.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from sidecar.directory.directory import Directory
from sidecar.directory.resolved import ResolvedCompany, ResolvedFeature
from sidecar.domain.catalog.model import FeatureKind, Limit, RateLimit
from sidecar.domain.company.model import Segment
from sidecar.domain.entitlement.resolve import CatalogIndex, Entitlement
from sidecar.domain.entitlement.sources import Source, SourceKind
from sidecar.domain.errors import NotFound
from sidecar.domain.limits.decide import decide_unmetered
from sidecar.domain.limits.decision import Decision
from sidecar.domain.limits.rate_usage import RateUsage
from sidecar.domain.limits.reasons import Basis, Reason
from sidecar.domain.limits.requests import Check
from sidecar.domain.limits.usage import QuotaUsage
from sidecar.domain.nearest import lacks
from sidecar.engine.admission import Admission, Gate
from sidecar.engine.burning import answer_to_costly_question
from sidecar.engine.check_reading import read_for_check
from sidecar.engine.leased import answer_to_question
from sidecar.engine.limit_usage import LimitUsage
from sidecar.engine.needs import NOTHING, Needs
from sidecar.engine.plane_status import PlaneStatus
from sidecar.engine.request_dimensions import RequestDimensions
from sidecar.engine.seat_answers import answer_to_seat_question
from sidecar.engine.unheard import basis_or_needs, unheard_counters
from sidecar.storage.store import Store


class Explanation(msgspec.Struct, frozen=True):
    """An entitlement with its sources, in the order of merging, and what a check would be answered.

    `segment` holds the instant; its overrides are left out, as they concern other features too.
    `usages`: every limit that applies, then every rate, before counting. `others`: names of the
    limits and rates that do not apply to the dimensions.
    """

    sources: tuple[Source, ...]
    entitlement: Entitlement
    segment: Segment
    decision: Decision
    usages: tuple[QuotaUsage | RateUsage, ...]
    others: tuple[str, ...]
    basis: Basis


class Explainer:
    """Explains from a store. Runs on the thread that owns the store."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        plane_status: PlaneStatus,
        dimensions: RequestDimensions | None = None,
    ) -> None:
        self._store = store
        self._dimensions = dimensions or RequestDimensions(directory)
        self._directory = directory
        self._plane_status = plane_status
        self._gate = Gate(directory, plane_status, kind=None)

    def explain(self, question: Check, now_us: int, asked: Needs = NOTHING) -> Explanation | Needs:
        """Explain what would be answered to a check at its event time, in the years 2 to 9998.

        Times to wait are meant from there. Raises `NotFound` for an unknown company or feature.
        """
        problem = self._dimensions.require(question)
        admission = self._gate.admit(question, now_us, asked)
        if isinstance(admission, Needs):
            return admission
        index = self._directory.index
        if problem:
            admission = msgspec.structs.replace(admission, dimension_problem=problem)
        company, feature = _known(question, admission, index)
        assert index is not None, "no company is known without a catalog"
        entitlement, status = feature.entitlement, self._plane_status
        reading = self._read(question, admission, feature, now_us)
        unheard = unheard_counters(reading, feature, question, now_us, status)
        basis = basis_or_needs(unheard, question, now_us, asked, admission.basis, status)
        if isinstance(basis, Needs):
            return basis
        _come_to_rest(reading, feature, question, now_us)
        decision, basis = self._answer(question, admission, feature, reading, basis)
        applying: tuple[QuotaUsage | RateUsage, ...] = (*reading.deciding, *reading.rates)
        names = {usage.limit.id for usage in applying}
        ceilings: tuple[Limit | RateLimit, ...] = (*entitlement.limits, *entitlement.rates)
        return Explanation(
            sources=tuple(_sources(index, company, entitlement)),
            entitlement=entitlement,
            segment=msgspec.structs.replace(company.segment, overrides=()),
            decision=decision,
            usages=applying,
            others=tuple(ceiling.id for ceiling in ceilings if ceiling.id not in names),
            basis=basis,
        )

    def _answer(
        self,
        question: Check,
        admission: Admission,
        feature: ResolvedFeature,
        reading: LimitUsage,
        basis: Basis,
    ) -> tuple[Decision, Basis]:
        if admission.denied:
            return decide_unmetered(admission.reason), basis
        if feature.entitlement.feature.kind is FeatureKind.SEATS:
            return answer_to_seat_question(reading.deciding, question.event_time_us), basis
        if not admission.metered:
            return admission.told(decide_unmetered(Reason.ALLOWED)), basis
        now_us, status = question.event_time_us, self._plane_status
        told = answer_to_question(reading, feature, question, admission.mode, now_us, basis, status)
        decision, basis = answer_to_costly_question(
            told, reading, self._store, admission, feature, question, now_us, status
        )
        return (admission.told(decision) if decision.allowed else decision), basis

    def _read(
        self, question: Check, admission: Admission, feature: ResolvedFeature, now_us: int
    ) -> LimitUsage:
        status = self._plane_status
        return self._store.transact(
            lambda transaction: read_for_check(
                transaction, admission, feature, question, now_us, status
            )
        )


def _come_to_rest(
    reading: LimitUsage, feature: ResolvedFeature, question: Check, now_us: int
) -> None:
    """Of another time than now nobody can know how full buckets are: they are taken as empty."""
    if question.event_time_us == now_us:
        return
    reading.usages = [msgspec.structs.replace(usage, throttle_level=0) for usage in reading.usages]
    reading.rates = _rates_at_rest(feature, question)


def _rates_at_rest(feature: ResolvedFeature, question: Check) -> list[RateUsage]:
    return [
        RateUsage(rate.limit, 0, question.event_time_us, values)
        for rate in feature.rates
        if (values := rate.values(question.dimensions)) is not None
    ]


def _known(
    question: Check, admission: Admission, index: CatalogIndex | None
) -> tuple[ResolvedCompany, ResolvedFeature]:
    if admission.reason is Reason.UNKNOWN_FEATURE:
        message = lacks("feature", question.feature, index.features if index else ())
        raise NotFound("feature", message, "UNKNOWN_FEATURE")
    if admission.company is None or admission.feature is None:
        raise NotFound("company", f"no company {question.company!r} is known", "UNKNOWN_COMPANY")
    return admission.company, admission.feature


def _sources(
    index: CatalogIndex, company: ResolvedCompany, entitlement: Entitlement
) -> Iterator[Source]:
    for source in index.sources(company.segment, entitlement.feature):
        if company.is_default and source.kind is SourceKind.PLAN:
            yield msgspec.structs.replace(source, kind=SourceKind.DEFAULT_PLAN)
        else:
            yield source
