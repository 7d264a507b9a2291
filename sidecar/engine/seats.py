"""Seats on the way of a call: whether a holder has one here, and what is answered.

Who has a seat, as far as is known here, is answered at once, from the store. Who has none needs the
plane's word (`SeatAsk`), which owns all assignments; where it cannot be asked, the feature's fail
policy `no_lease` decides. Where there is no plane, seats are given here, by the same rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from sidecar.directory.directory import Directory
from sidecar.directory.resolved import ResolvedCompany, ResolvedFeature
from sidecar.domain.catalog.model import FailAction, Feature, FeatureKind
from sidecar.domain.errors import InvalidInput, NotFound, Unavailable
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.limits.decide import decide, decide_unmetered
from sidecar.domain.limits.decision import Decision
from sidecar.domain.limits.reasons import Basis, FallbackCause, GrantMode, Reason, by_default
from sidecar.domain.limits.requests import NO_ATTRIBUTES, Check
from sidecar.domain.limits.usage import QuotaUsage
from sidecar.domain.seats.model import SeatRequest, SeatResult, SeatStatus
from sidecar.domain.time.windows import LIFETIME_WINDOW
from sidecar.engine.admission import Admission, Gate
from sidecar.engine.needs import NOTHING, Needs
from sidecar.engine.plane_status import PlaneStatus
from sidecar.engine.seat_answers import (
    ReleaseAnswer,
    SeatAnswer,
    SeatAsk,
    binding_of,
    tightest,
    usages_of,
)
from sidecar.engine.seat_authority import SeatAuthority
from sidecar.storage.seats import Seats, StoredSeat, count_seats, counter_key_of, named_seats
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction

_LASTING: Final = LIFETIME_WINDOW.end_us
_HELD: Final = (SeatStatus.ASSIGNED, SeatStatus.HELD)


class SeatEngine:
    """Answers calls about seats. Runs on the thread that owns the store."""

    def __init__(
        self, store: Store, directory: Directory, plane_status: PlaneStatus, seats: Seats
    ) -> None:
        self.seats = seats
        self._store = store
        self._directory = directory
        self._plane_status = plane_status
        self._gate = Gate(directory, plane_status, FeatureKind.SEATS)
        self._authority = SeatAuthority(seats)

    def acquire(
        self, step: Transaction, request: SeatRequest, asked: Needs = NOTHING
    ) -> SeatAnswer | SeatAsk | Needs:
        """Whether the holder has a seat, as far as is known here; or what is needed first.

        Raises `InvalidInput` for a feature without seats.
        """
        admission = self._admit(request, asked)
        if isinstance(admission, Needs):
            return admission
        company, feature = admission.company, admission.feature
        if admission.denied:
            return SeatAnswer(decide_unmetered(admission.reason), admission.basis)
        if company is None or feature is None:
            return self._unknown(step, request, admission)
        now_us = request.at_us
        addresses = [meter.address(NO_ATTRIBUTES, now_us) for meter in feature.meters]
        seats, holder = self.seats, request.holder
        if all(seats.held(step, each.key, holder) for each in addresses if each is not None):
            return self._answer(step, feature, now_us, admission, assigned=False)
        if not self._plane_status.authority:
            return SeatAsk(replace(request, company=company.snapshot.company))
        refused = self._authority.refusal(step, company, feature, holder, now_us)
        if refused is not None:
            return self._refused(step, feature, now_us, admission, refused.retry_at_us)
        self._store.require_room()
        self._authority.assign(step, company, feature, holder, now_us)
        return self._answer(step, feature, now_us, admission, assigned=True)

    def told(
        self, step: Transaction, request: SeatRequest, result: SeatResult | None
    ) -> SeatAnswer | Needs:
        """What is answered once the plane was asked; `None`: it could not be.

        What it said is in the store by then.
        """
        admission = self._admit(request, Needs(frozenset((request.company,))))
        if isinstance(admission, Needs):
            return admission
        company, feature = admission.company, admission.feature
        if admission.denied:  # meanwhile
            return SeatAnswer(decide_unmetered(admission.reason), admission.basis)
        if company is None or feature is None:
            return self._unknown(step, request, admission)
        now_us = request.at_us
        if result is None:
            return self._without_plane(step, request, company, feature, admission)
        # Who was refused may have been given a seat without the plane meanwhile: it is told still.
        if result.status is SeatStatus.EXHAUSTED:
            return self._refused(step, feature, now_us, admission, result.retry_at_us)
        if result.status not in _HELD:
            reason = result.reason
            denied = Reason.NOT_ENTITLED if reason is Reason.ALLOWED else reason
            return SeatAnswer(decide_unmetered(denied), admission.basis)
        self.seats.is_told(step, request)
        is_new = result.status is SeatStatus.ASSIGNED
        return self._answer(step, feature, now_us, admission, assigned=is_new)

    def release(self, step: Transaction, request: SeatRequest) -> ReleaseAnswer | SeatAsk:
        """Give a seat back here, or say that the plane is to be asked."""
        self._require_seats(request.feature)
        if not self._plane_status.authority:
            return SeatAsk(request)
        company = self._directory.company(request.company, request.at_us)
        if company is None:
            raise NotFound("company", f"there is no company {request.company!r}")
        feature = company.feature(request.feature)
        assert feature is not None, "it was looked at"
        self._store.require_room()
        released = self._authority.release(step, company, feature, request.holder, request.at_us)
        basis = self._plane_status.basis(company.version, request.at_us)
        return ReleaseAnswer(released, basis, self._counts_until(step, feature, request))

    def released(
        self, step: Transaction, request: SeatRequest, result: SeatResult | None
    ) -> ReleaseAnswer:
        """What is answered once the plane was asked to take a seat back; `None`: it could not be.

        Raises `Unavailable` where it could not, and the fail policy denies.
        """
        now_us = request.at_us
        company = self._directory.company(request.company, now_us)
        version = 0 if company is None else company.version
        first = request.company if company is None else company.snapshot.company
        named = named_seats(first, request.feature)
        if result is not None:
            ends = [seat.counter.counter.window.end_us for seat in result.seats if seat.is_held]
            until_us = max((end_us for end_us in ends if end_us != _LASTING), default=None)
            basis = self._plane_status.basis(version, now_us)
            self.seats.is_told(step, request)
            self.seats.forget(step, counter_key_of(named), request.holder)
            return ReleaseAnswer(result.status is SeatStatus.RELEASED, basis, until_us)
        feature = self._require_seats(request.feature)
        if feature is None or feature.fail_policy.no_lease is not FailAction.ALLOW:
            reason = Reason.LEASE_UNAVAILABLE.name
            message = "the control plane cannot be asked to take the seat back; nothing has changed"
            raise Unavailable("", message, reason)
        self._store.require_room()
        key = counter_key_of(named)
        seat = self.seats.held(step, key, request.holder)
        if seat is not None:
            tombstone = replace(seat, released_us=now_us)
            self.seats.put(step, key, request.holder, tombstone)
            count_seats(step, key, _LASTING, -1)
        self.seats.put_untold(step, replace(request, company=first, has_happened=True))
        basis = self._plane_status.fallback_basis(now_us, FallbackCause.NO_LEASE, version)
        return ReleaseAnswer(seat is not None, basis)

    def limits(
        self, step: Transaction, company: str, feature: str, now_us: int
    ) -> tuple[Sequence[QuotaUsage], Sequence[CounterName], Basis]:
        """Limits on seats of a company, with what they are counted on, and on what basis.

        Raises `NotFound` for a company that is not known, `InvalidInput` without seats.
        """
        self._require_seats(feature)
        found = self._directory.company(company, now_us) or self._directory.default_company(company)
        resolved = None if found is None else found.feature(feature)
        if found is None or resolved is None:
            raise NotFound("company", f"there is no company {company!r}")
        usages = usages_of(step, resolved, now_us)
        names = [meter.counter_name(NO_ATTRIBUTES, now_us) for meter in resolved.meters]
        basis = self._plane_status.report_basis(found.snapshot.company, found.version, now_us)
        return usages, names, by_default(basis, found.default_plan)

    def _admit(self, request: SeatRequest, asked: Needs) -> Admission | Needs:
        check = Check(request.company, request.feature, 1, request.at_us)
        return self._gate.admit(check, request.at_us, asked)

    def _require_seats(self, key: str) -> Feature | None:
        """The feature, as far as it is known. Raises `InvalidInput` for one without seats."""
        index = self._directory.index
        feature = None if index is None else index.features.get(key)
        if feature is not None and feature.kind is not FeatureKind.SEATS:
            raise InvalidInput("feature", f"{key!r} is {feature.kind.name}, not SEATS")
        return feature

    def _without_plane(
        self,
        step: Transaction,
        request: SeatRequest,
        company: ResolvedCompany,
        feature: ResolvedFeature,
        admission: Admission,
    ) -> SeatAnswer:
        """The plane cannot be asked: the fail policy decides."""
        now_us = request.at_us
        if feature.policy.no_lease is not FailAction.ALLOW:
            denied = Decision(False, Reason.LEASE_UNAVAILABLE, 0, binding_of(step, feature, now_us))
            return SeatAnswer(denied, admission.basis)
        self._store.require_room()
        for meter in feature.meters:
            address = meter.address(NO_ATTRIBUTES, now_us)
            if address is None or self.seats.held(step, address.key, request.holder):
                continue
            end_us = address.ref.window.end_us
            self.seats.put(step, address.key, request.holder, StoredSeat(end_us, now_us, 0, 0))
            count_seats(step, address.key, end_us, 1)
        first = company.snapshot.company
        self.seats.put_untold(step, replace(request, company=first, has_happened=True))
        return self._answer(
            step, feature, now_us, self._by_policy(admission, now_us), assigned=True
        )

    def _unknown(self, step: Transaction, request: SeatRequest, admission: Admission) -> SeatAnswer:
        """Nothing is known of the company, and the fail policy allows: the plane is told later."""
        self._store.require_room()
        self.seats.put_untold(step, replace(request, has_happened=True))
        return SeatAnswer(admission.told(Decision(True, Reason.ALLOWED, 1)), admission.basis, True)

    def _by_policy(self, admission: Admission, now_us: int) -> Admission:
        known = admission.basis
        basis = self._plane_status.fallback_basis(
            now_us, FallbackCause.NO_LEASE, known.snapshot_version
        )
        overruled = admission.overruled or Reason.LEASE_UNAVAILABLE
        return replace(admission, basis=by_default(basis, known.default_plan), overruled=overruled)

    def _answer(
        self,
        step: Transaction,
        feature: ResolvedFeature,
        now_us: int,
        admission: Admission,
        *,
        assigned: bool,
    ) -> SeatAnswer:
        """The holder has a seat: with the limits as they are with it."""
        usages = usages_of(step, feature, now_us)
        if assigned:  # as they were before, so that it is told which thresholds it has crossed
            usages = [replace(usage, used=max(0, usage.used - 1)) for usage in usages]
            decision = decide(1, GrantMode.RECORD_ONLY, usages, now_us)
            decision = replace(decision, reason=Reason.ALLOWED)
        else:
            decision = Decision(True, Reason.ALLOWED, 1, tightest(usages))
        if not admission.is_plain:
            decision = admission.told(decision)
        return SeatAnswer(decision, admission.basis, assigned)

    def _refused(
        self,
        step: Transaction,
        feature: ResolvedFeature,
        now_us: int,
        admission: Admission,
        retry_at_us: int | None,
    ) -> SeatAnswer:
        binding = binding_of(step, feature, now_us)
        wait_us = None if retry_at_us is None else max(0, retry_at_us - now_us)
        decision = Decision(False, Reason.SEATS_EXHAUSTED, 0, binding, wait_us)
        swaps = ""
        if binding is not None and binding.left > 0 and binding.limit.swaps is not None:
            swaps = binding.limit.id
        return SeatAnswer(decision, admission.basis, False, swaps)

    def _counts_until(
        self, step: Transaction, feature: ResolvedFeature, request: SeatRequest
    ) -> int | None:
        ends = []
        for meter in feature.meters:
            address = meter.address(NO_ATTRIBUTES, request.at_us)
            assert address is not None, "limits on seats are company-wide"
            end_us = address.ref.window.end_us
            if end_us != _LASTING and self.seats.held(step, address.key, request.holder):
                ends.append(end_us)
        return max(ends, default=None)
