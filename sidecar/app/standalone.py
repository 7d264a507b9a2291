"""Standalone: a catalog file instead of a control plane; this sidecar is the authority."""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.catalog.load import load_catalog_file
from sidecar.domain.catalog import CatalogSnapshot, Company
from sidecar.domain.timeline import compile_snapshot
from sidecar.service.directory import Directory
from sidecar.storage.snapshots import Position, SnapshotChanges, Snapshots

_EPOCH = "standalone"
_PAGE = 1000


def load_standalone(path: str, snapshots: Snapshots, directory: Directory) -> int:
    """Bring the store in line with a catalog file; the number of its companies.

    Raises `CatalogFileError` for a file that is wrong, `OSError` for one that can't be read.
    """
    content = load_catalog_file(path)
    present = snapshots.position()
    version = present.revision + 1
    catalog = snapshots.catalog()
    wanted = {company.id: company for company in content.companies}
    changed = [
        compile_snapshot(company, version)
        for company in content.companies
        if not _is_held(snapshots, company)
    ]
    gone = [company for company in _all_held(snapshots) if company not in wanted]
    same_catalog = catalog is not None and catalog.catalog == content.catalog
    if same_catalog and not changed and not gone and present.epoch == _EPOCH:
        return len(wanted)
    changes = SnapshotChanges(
        catalog=CatalogSnapshot(version, content.catalog),
        companies=changed,
        removed=gone,
        position=Position(_EPOCH, version),
        replace=True,
    )
    directory.apply(changes)
    return len(wanted)


def _is_held(snapshots: Snapshots, company: Company) -> bool:
    held = snapshots.company(company.id)
    return held is not None and held == compile_snapshot(company, held.version)


def _all_held(snapshots: Snapshots) -> Iterator[str]:
    after = ""
    while page := snapshots.held(after, _PAGE):
        yield from page
        after = page[-1]
