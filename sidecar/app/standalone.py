"""Standalone: a catalog file instead of a control plane; this sidecar is the authority."""

from __future__ import annotations

from sidecar.catalog.load import load_catalog_file
from sidecar.domain.catalog import CatalogSnapshot
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
    version = snapshots.position().revision + 1
    compiled = [compile_snapshot(company, version) for company in content.companies]
    kept = {snapshot.company for snapshot in compiled}
    gone: list[str] = []
    after = ""
    while held := snapshots.held(after, _PAGE):
        gone += [company for company in held if company not in kept]
        after = held[-1]
    changes = SnapshotChanges(
        catalog=CatalogSnapshot(version, content.catalog),
        companies=compiled,
        removed=gone,
        position=Position(_EPOCH, version),
        replace=True,
    )
    directory.apply(changes)
    return len(compiled)
