"""Standalone: a catalog file instead of a control plane; this sidecar is the authority."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
import structlog

from sidecar.directory.directory import Directory
from sidecar.domain.bounds import COMPANY_NAMES_MAX
from sidecar.domain.catalog.model import Catalog, CatalogSnapshot, Plan
from sidecar.domain.catalog.plan_terms import ExistingCompanies
from sidecar.domain.company.model import Company, CompanySnapshot
from sidecar.domain.company.terms import with_grace
from sidecar.domain.company.timeline import compile_snapshot, continue_snapshot, phase_at
from sidecar.domain.entitlement.proration import Prorating
from sidecar.shared.catalog_file.load import CatalogFileError, load_catalog_file
from sidecar.shared.catalog_file.problems import NOWHERE, FileProblem
from sidecar.storage.snapshots import SnapshotChanges, Snapshots
from sidecar.storage.watch_position import WatchPosition

_EPOCH = "standalone"
_PAGE = 1000
_TOLD_MAX = 10
_MOVE_NOW = ExistingCompanies.MOVE_NOW

log = structlog.get_logger(__name__)


def load_standalone(path: str, snapshots: Snapshots, directory: Directory, now_us: int) -> int:
    """Bring the store in line with a catalog file; the number of its companies.

    What was in force of a company before now stays in its timeline. Raises `CatalogFileError` for a
    file that is wrong, `OSError` for one that can't be read.
    """
    content = load_catalog_file(path)
    _tell_what_is_left_out(content.catalog)
    plans = {plan.key: plan for plan in content.catalog.plans}
    prorating = Prorating(content.catalog)
    present = snapshots.position()
    version = present.revision + 1
    catalog = snapshots.catalog()
    wanted: dict[str, str] = {}
    changed: list[CompanySnapshot] = []
    for said in content.companies:
        held, names = _held(snapshots, said, path)
        first = said.id if held is None else held.company
        if first in wanted:
            raise _refused(path, f"{wanted[first]!r} and {said.id!r} are ids of one company")
        wanted[first] = said.id
        company = msgspec.structs.replace(said, id=first, renamed_from="")
        snapshot = _changed(held, names, company, plans, prorating, version, now_us)
        if snapshot is not None:
            changed.append(snapshot)
    gone = [company for company in _all_held(snapshots) if company not in wanted]
    same_catalog = catalog is not None and catalog.catalog == content.catalog
    if same_catalog and not changed and not gone and present.epoch == _EPOCH:
        return len(wanted)
    changes = SnapshotChanges(
        catalog=CatalogSnapshot(version, content.catalog),
        companies=changed,
        removed=gone,
        position=WatchPosition(_EPOCH, version),
        replace=True,
    )
    directory.apply(changes)
    return len(wanted)


def _tell_what_is_left_out(catalog: Catalog) -> None:
    """Log what of plans only a control plane knows to do."""
    trials = [plan.key for plan in catalog.plans if plan.trial is not None]
    versions = [plan.key for plan in catalog.plans if plan.existing is not _MOVE_NOW]
    if trials or versions:
        log.warning(
            "sidecar.plans_without_plane",
            plans_whose_trial_is_left_out=trials[:_TOLD_MAX],
            plans_whose_companies_move_at_once=versions[:_TOLD_MAX],
        )


def _held(
    snapshots: Snapshots, company: Company, path: str
) -> tuple[CompanySnapshot | None, tuple[str, ...]]:
    """What is held of a company, by whatever id; and the ids that it was renamed to, then."""
    held = snapshots.company(company.id)
    before = snapshots.company(company.renamed_from) if company.renamed_from else None
    if before is None or held == before:
        return held, () if held is None else held.names
    if held is not None:
        told = f"{company.renamed_from!r} cannot be renamed: there is another {company.id!r}"
        raise _refused(path, told)
    names = (*before.names, company.id)
    if len(names) > COMPANY_NAMES_MAX:
        raise _refused(path, f"{company.id!r} was renamed {COMPANY_NAMES_MAX} times, which is all")
    return before, names


def _refused(path: str, message: str) -> CatalogFileError:
    return CatalogFileError(path, [FileProblem(NOWHERE, "companies", message)])


def _changed(
    held: CompanySnapshot | None,
    names: tuple[str, ...],
    company: Company,
    plans: Mapping[str, Plan],
    prorating: Prorating,
    version: int,
    now_us: int,
) -> CompanySnapshot | None:
    """The snapshot of a company that is new or has changed."""
    company = _filled(company, held, plans, now_us)
    if held is None:
        return prorating.prorated(compile_snapshot(company, version))
    now = prorating.prorated(continue_snapshot(held, company, version, now_us), now_us)
    now = msgspec.structs.replace(now, names=names)
    return None if msgspec.structs.replace(now, version=held.version) == held else now


def _filled(
    company: Company, held: CompanySnapshot | None, plans: Mapping[str, Plan], now_us: int
) -> Company:
    """The company with what the file leaves open: the plan's grace, and an anchor.

    The anchor is the one that the store has of it, else now.
    """
    subscription = company.subscription
    if subscription is None:
        return company
    subscription = with_grace(subscription, plans)
    if subscription.anchor_us is None:
        kept = None if held is None else phase_at(held, now_us).anchor_us
        anchor_us = now_us if kept is None else kept
        subscription = msgspec.structs.replace(subscription, anchor_us=anchor_us)
    return msgspec.structs.replace(company, subscription=subscription)


def _all_held(snapshots: Snapshots) -> Iterator[str]:
    after = ""
    while page := snapshots.company_ids(after, _PAGE):
        yield from page
        after = page[-1]
