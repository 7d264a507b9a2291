"""Admission: what is known of a company and a feature, before any limit is looked at.

Where knowledge is lacking, the feature's fail policy decides: without a snapshot, or once the plane
was silent for longer than the feature tolerates. The basis says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from sidecar.directory.directory import Directory
from sidecar.directory.resolved import ResolvedCompany, ResolvedFeature
from sidecar.domain.catalog.model import FailAction, Feature, FeatureKind
from sidecar.domain.errors import FieldError, InvalidInput
from sidecar.domain.limits.decision import Decision
from sidecar.domain.limits.reasons import Basis, FallbackCause, GrantMode, Reason, by_default
from sidecar.domain.limits.requests import Check
from sidecar.domain.text import NEW_NAMES
from sidecar.engine.needs import NOTHING, Needs
from sidecar.engine.plane_status import PlaneStatus

_ALLOWED: Final = Reason.ALLOWED
_RECORD_ONLY: Final = GrantMode.RECORD_ONLY
_KEEP: Final = FailAction.KEEP


_INSTEAD: Final = {
    FeatureKind.CREDITS: "usage of features that cost it draws on it",
    FeatureKind.SEATS: "ask for a seat by AcquireSeat",
    FeatureKind.LEVEL: "move it by AdjustLevel or SetLevel",
}


class Admission(msgspec.Struct, frozen=True, gc=False):
    """Whether a request may go on to its limits.

    `reason`: ALLOWED, or why not. `mode`: RECORD_ONLY where it goes on all the same: since it has
    happened already, or since the fail policy allows. `feature` is `None` where there is nothing to
    go on to. `overruled`: where the fail policy allowed, as what is known is too old, the reason by
    what is known, limits aside; else `None`. `dimension_problem`: see `Decision`. `uncounted`: the
    feature, where it has limits that no check counts on.
    """

    reason: Reason
    basis: Basis
    mode: GrantMode
    company: ResolvedCompany | None = None
    feature: ResolvedFeature | None = None
    metered: bool = True
    overruled: Reason | None = None
    dimension_problem: str = ""
    uncounted: Feature | None = None

    @property
    def denied(self) -> bool:
        """Whether the request ends here."""
        return self.reason is not _ALLOWED and self.mode is not _RECORD_ONLY

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing to tell beside what limits say."""
        return self.reason is _ALLOWED and self.overruled is None and not self.dimension_problem

    def require_counted(self) -> None:
        """Refuse, by `InvalidInput`, a check of what has limits that no check counts on."""
        feature = self.uncounted
        if feature is not None:
            kind, instead = feature.kind.name, _INSTEAD[feature.kind]
            message = f"{feature.key!r} is {kind}, which checks do not count: {instead}"
            raise InvalidInput("feature", message)

    def told(self, decision: Decision) -> Decision:
        """What limits let pass, with what is told of it."""
        if self.dimension_problem:
            problem = self.dimension_problem
            decision = msgspec.structs.replace(decision, dimension_problem=problem)
        if self.overruled is None:
            reason = decision.reason if self.reason is _ALLOWED else self.reason
            return msgspec.structs.replace(decision, reason=reason)
        against = decision.reason if self.overruled is _ALLOWED else self.overruled
        would_deny = None if against is _ALLOWED else against
        return msgspec.structs.replace(decision, reason=_ALLOWED, would_deny=would_deny)


class Gate:
    """Admits requests. Runs on the thread that owns the store.

    `kind`: of the features that they are about; METERED for checks, which ask about those without
    limits, too, and `None` for any.
    """

    def __init__(
        self,
        directory: Directory,
        plane_status: PlaneStatus,
        kind: FeatureKind | None = FeatureKind.METERED,
    ) -> None:
        self._directory = directory
        self._plane_status = plane_status
        self._kind = kind

    def admit(self, check: Check, now_us: int, asked: Needs) -> Admission | Needs:
        """Admit a request, or say what it needs. `asked`: what the plane was asked for already."""
        company = self._directory.company(check.company, check.event_time_us)
        if company is None:
            return self._admit_unknown(check, now_us, asked)
        basis = self._plane_status.basis(company.version, now_us)
        return self._admit_known(check, now_us, company, basis)

    def admit_to_full_outbox(self, check: Check, basis: Basis, now_us: int) -> tuple[bool, Basis]:
        """Whether a request that would be counted is, though the outbox is full; on what basis."""
        cause = FallbackCause.OUTBOX_FULL
        fallback = self._fallback(now_us, cause, basis.snapshot_version)
        basis = by_default(fallback, basis.default_plan)
        if check.mode is _RECORD_ONLY:
            return True, basis
        feature = self._feature(check.feature)
        return feature is not None and feature.fail_policy.outbox_full is FailAction.ALLOW, basis

    def needs_of(self, checks: Sequence[Check | FieldError], now_us: int, asked: Needs) -> Needs:
        """What has to be asked for before the first of some checks is decided.

        If anything has to be, all their companies: so that none of them goes for another.
        """
        directory = self._directory
        lacks = any(
            isinstance(check, Check)
            and directory.company(check.company, check.event_time_us) is None
            and check.company not in asked.snapshots
            and not directory.is_absent(check.company, now_us)
            for check in checks
        )
        if not lacks:
            return NOTHING
        return Needs(frozenset(check.company for check in checks if isinstance(check, Check)))

    def _admit_known(
        self, check: Check, now_us: int, company: ResolvedCompany, basis: Basis
    ) -> Admission:
        feature = company.feature(check.feature)
        if feature is None:
            NEW_NAMES.require_identifier("feature", check.feature)
            return Admission(Reason.UNKNOWN_FEATURE, basis, check.mode)
        entitlement = feature.entitlement
        uncounted = self._uncounted(entitlement.feature)
        reason, mode, overruled = entitlement.reason, check.mode, None
        stale_after_us = feature.stale_after_us
        # Where the fail policy has decided already, for want of a snapshot, none is too old.
        if (
            stale_after_us is not None
            and not basis.fallback
            and self._plane_status.silence_us(now_us) >= stale_after_us
        ):
            action = feature.policy.stale
            if action is not _KEEP:
                version = basis.snapshot_version
                fallback = self._fallback(now_us, FallbackCause.STALE_SNAPSHOT, version)
                basis = by_default(fallback, company.default_plan)
                if action is FailAction.ALLOW:
                    reason, mode, overruled = _ALLOWED, _RECORD_ONLY, reason
                else:
                    reason = Reason.SNAPSHOT_STALE
        metered = entitlement.feature.kind.is_counted
        return Admission(
            reason, basis, mode, company, feature, metered, overruled, uncounted=uncounted
        )

    def _admit_unknown(self, check: Check, now_us: int, asked: Needs) -> Admission | Needs:
        """Nothing is held of the company: it does not exist, or the plane has to be asked."""
        basis = self._fallback(now_us, FallbackCause.NO_SNAPSHOT)
        final = check.company in asked.snapshots
        if self._directory.is_absent(check.company, now_us, final=final):
            NEW_NAMES.require_identifier("company", check.company)
            company = self._directory.default_company(check.company)
            if company is not None:
                known = self._plane_status.basis(company.version, now_us)
                known = by_default(known, company.default_plan)
                return self._admit_known(check, now_us, company, known)
        elif not final:
            return Needs(frozenset((check.company,)))
        elif check.mode is not _RECORD_ONLY:
            return self._fall_back(check, now_us, basis)
        return Admission(Reason.UNKNOWN_COMPANY, basis, check.mode)

    def _fall_back(self, check: Check, now_us: int, basis: Basis) -> Admission:
        """The plane can't be asked for the company: the feature's fail policy decides."""
        feature = self._feature(check.feature)
        uncounted = None if feature is None else self._uncounted(feature)
        action = None if feature is None else feature.fail_policy.no_snapshot
        if feature is not None and action is FailAction.ALLOW:
            metered = feature.kind.is_counted
            return Admission(_ALLOWED, basis, _RECORD_ONLY, metered=metered, uncounted=uncounted)
        if action is FailAction.DEFAULT_PLAN:
            company = self._directory.default_company(check.company)
            if company is not None:
                basis = self._fallback(now_us, FallbackCause.NO_SNAPSHOT, company.version)
                basis = by_default(basis, company.default_plan)
                return self._admit_known(check, now_us, company, basis)
        return Admission(Reason.UNKNOWN_COMPANY, basis, check.mode)

    def _uncounted(self, feature: Feature) -> Feature | None:
        """The feature, if no check counts on it; `InvalidInput` where others are asked about."""
        if self._kind is FeatureKind.METERED:
            return feature if feature.kind in _INSTEAD else None
        if self._kind is not None and feature.kind is not self._kind:
            message = f"{feature.key!r} is {feature.kind.name}, not {self._kind.name}"
            raise InvalidInput("feature", message)
        return None

    def _feature(self, key: str) -> Feature | None:
        index = self._directory.index
        return None if index is None else index.features.get(key)

    def _fallback(self, now_us: int, cause: FallbackCause, version: int = 0) -> Basis:
        return self._plane_status.fallback_basis(now_us, cause, version)
