"""Query: what a company may do and has used, as far as this sidecar knows. Counts nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from sidecar.directory.deciding import deciding_company
from sidecar.directory.directory import Directory
from sidecar.directory.resolved import ResolvedCompany, ResolvedFeature
from sidecar.domain.company.model import Segment
from sidecar.domain.entitlement.resolve import Entitlement
from sidecar.domain.errors import NotFound
from sidecar.domain.limits.decide import decide_unmetered
from sidecar.domain.limits.decision import Decision
from sidecar.domain.limits.rate_usage import RateUsage
from sidecar.domain.limits.reasons import Basis, Reason, by_default
from sidecar.domain.limits.requests import Check
from sidecar.domain.limits.usage import QuotaUsage
from sidecar.domain.nearest import lacks
from sidecar.domain.slices import Slices
from sidecar.engine.admission import Admission, Gate
from sidecar.engine.burning import answer_to_costly_question
from sidecar.engine.check_reading import read_for_check
from sidecar.engine.leased import answer_to_question
from sidecar.engine.limit_usage import LimitUsage
from sidecar.engine.needs import NOTHING, Needs
from sidecar.engine.plane_status import PlaneStatus
from sidecar.engine.request_dimensions import RequestDimensions
from sidecar.engine.unheard import basis_or_needs, unheard_counters
from sidecar.engine.usage_report import USAGES_MAX, UsagePlace, UsageReader, UsageReport
from sidecar.storage.counters import Counters
from sidecar.storage.store import Store


class CheckResult(msgspec.Struct, frozen=True):
    """What a check would be answered, and every limit that applies, as it is now."""

    decision: Decision
    usages: tuple[QuotaUsage | RateUsage, ...]
    basis: Basis


class EntitlementReport(msgspec.Struct, frozen=True):
    """What a company may do with features; it is worked out only once it is asked for."""

    company: ResolvedCompany
    features: Sequence[str]
    basis: Basis

    @property
    def segment(self) -> Segment:
        """The stretch of the company's timeline that holds the instant."""
        return self.company.segment

    def entitlements(self) -> Iterator[Entitlement]:
        """The entitlements to the features, in their order."""
        for key in self.features:
            entitlement = self.company.entitlement(key)
            assert entitlement is not None, "the catalog has what it named"
            yield entitlement


class Queries:
    """Answers questions from a store. Runs on the thread that owns the store."""

    def __init__(
        self,
        store: Store,
        counters: Counters,
        directory: Directory,
        plane_status: PlaneStatus,
        dimensions: RequestDimensions | None = None,
    ) -> None:
        self._store = store
        self._dimensions = dimensions or RequestDimensions(directory)
        self._counters = counters
        self._directory = directory
        self._plane_status = plane_status
        self._gate = Gate(directory, plane_status)

    def check(self, check: Check, now_us: int, asked: Needs = NOTHING) -> CheckResult | Needs:
        """What `check_and_increment` would answer to a check without an idempotency key.

        Raises `InvalidInput` for dimensions that are not as declared.
        """
        problem = self._dimensions.require(check)
        admission = self._gate.admit(check, now_us, asked)
        if isinstance(admission, Needs):
            return admission
        admission.require_counted()
        if problem:
            admission = msgspec.structs.replace(admission, dimension_problem=problem)
        if admission.denied:
            return CheckResult(decide_unmetered(admission.reason), (), admission.basis)
        feature = admission.feature
        if not admission.metered:
            decision = admission.told(decide_unmetered(Reason.ALLOWED))
            return CheckResult(decision, (), admission.basis)
        if feature is None or admission.company is None:
            decision = Decision(True, Reason.ALLOWED, check.quantity)
            return self._unless_full(check, now_us, CheckResult(decision, (), admission.basis))
        reading = self._read(admission, feature, check, now_us)
        status = self._plane_status
        unheard = unheard_counters(reading, feature, check, now_us, status)
        basis = basis_or_needs(unheard, check, now_us, asked, admission.basis, status)
        if isinstance(basis, Needs):
            return basis
        told = answer_to_question(reading, feature, check, admission.mode, now_us, basis, status)
        decision, basis = answer_to_costly_question(
            told, reading, self._store, admission, feature, check, now_us, status
        )
        if decision.allowed:
            decision = admission.told(decision)
        usages: tuple[QuotaUsage | RateUsage, ...] = (*reading.usages, *reading.rates)
        return self._unless_full(check, now_us, CheckResult(decision, usages, basis))

    def usage(
        self,
        company_id: str,
        feature_key: str,
        at_us: int,
        now_us: int,
        most: int = USAGES_MAX,
        after: UsagePlace | None = None,
    ) -> Slices[UsageReport]:
        """A page of usage in the windows that hold an instant; with an empty key of every feature.

        Read in bounded steps: what applies is all of one revision, and each feature's usage is as
        of the moment at which it was read. Raises `NotFound` for an unknown company or feature.
        """
        company = self._require_company(company_id, at_us, now_us)
        if feature_key and company.feature_once(feature_key) is None:
            raise self._unknown_feature(feature_key)
        reader = UsageReader(
            self._store,
            self._counters,
            company,
            at_us=at_us,
            now_us=now_us,
            most=most,
            authority=self._plane_status.authority,
            sharing=self._plane_status.rate_sharing,
        )
        yield from reader.read([feature_key] if feature_key else self._feature_keys(), after)
        status = self._plane_status
        if reader.has_ended_windows and not status.authority:
            # Those are only told to who asks, as a check does that needs them.
            basis = status.unheard_basis(company.version, now_us)
        else:
            basis = status.report_basis(company.snapshot.company, company.version, now_us)
        features = tuple((key, tuple(usages)) for key, usages in reader.found.items())
        return UsageReport(features, by_default(basis, company.default_plan), reader.after)

    def entitlements(
        self, company_id: str, feature_key: str, at_us: int, now_us: int
    ) -> EntitlementReport:
        """What a company may do with a feature, or with every feature if the key is empty.

        The instant may be any: what is planned is known beforehand. Of what ended more than 36 days
        ago it is not kept what was in force. Raises `NotFound` for an unknown company or feature.
        """
        company = self._require_company(company_id, at_us, now_us)
        if feature_key and company.entitlement(feature_key) is None:
            raise self._unknown_feature(feature_key)
        basis = self._plane_status.basis(company.version, now_us)
        return EntitlementReport(
            company=company,
            features=[feature_key] if feature_key else self._feature_keys(),
            basis=by_default(basis, company.default_plan),
        )

    @property
    def machine_ahead_us(self) -> int:
        """How far the clock that callers stamp by is ahead of the time gone by."""
        return self._plane_status.machine_ahead_us

    def _unless_full(self, check: Check, now_us: int, result: CheckResult) -> CheckResult:
        """The result, unless it is to be counted, the outbox is full, and that decides."""
        counts = result.decision.allowed and check.quantity > 0
        if not counts or not self._store.outbox_is_full():
            return result
        counted, basis = self._gate.admit_to_full_outbox(check, result.basis, now_us)
        decision = result.decision if counted else decide_unmetered(Reason.OUTBOX_FULL)
        return CheckResult(decision, result.usages, basis)

    def _feature_keys(self) -> Sequence[str]:
        index = self._directory.index
        return sorted(index.features) if index else ()

    def _require_company(self, company_id: str, at_us: int, now_us: int) -> ResolvedCompany:
        company = deciding_company(self._directory, company_id, at_us, now_us, final=True)
        if company is None:
            raise NotFound("company", f"no company {company_id!r} is known", "UNKNOWN_COMPANY")
        return company

    def _read(
        self, admission: Admission, feature: ResolvedFeature, check: Check, now_us: int
    ) -> LimitUsage:
        status = self._plane_status
        return self._store.transact(
            lambda transaction: read_for_check(
                transaction, admission, feature, check, now_us, status
            )
        )

    def _unknown_feature(self, key: str) -> NotFound:
        message = lacks("feature", key, self._feature_keys())
        return NotFound("feature", message, "UNKNOWN_FEATURE")
