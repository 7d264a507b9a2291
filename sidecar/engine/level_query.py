"""What is in use of a level: on every limit that applies, and by item. Counts nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from sidecar.directory.deciding import deciding_company
from sidecar.directory.directory import Directory
from sidecar.domain.catalog.model import FeatureKind
from sidecar.domain.errors import InvalidInput, NotFound
from sidecar.domain.limits.reasons import Basis, by_default
from sidecar.domain.limits.usage import QuotaUsage
from sidecar.domain.nearest import lacks
from sidecar.engine.limit_usage import read_limit_usage
from sidecar.engine.plane_status import PlaneStatus
from sidecar.storage.level_items import LevelItem, item_of, items_behind
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction


class LevelReport(msgspec.Struct, frozen=True):
    """Limits with what is in use of them, and a page of items; `after`: where it goes on."""

    usages: Sequence[QuotaUsage]
    items: Sequence[LevelItem]
    after: str
    basis: Basis


class LevelQueries:
    """Answers questions about levels from a store. Runs on the thread that owns the store."""

    def __init__(self, store: Store, directory: Directory, plane_status: PlaneStatus) -> None:
        self._store, self._directory = store, directory
        self._plane_status = plane_status

    def level(
        self,
        company_id: str,
        feature_key: str,
        dimensions: Mapping[str, str],
        item: str,
        most: int,
        behind: str,
        now_us: int,
    ) -> LevelReport:
        """What is in use now. Raises `NotFound` for an unknown company or feature."""
        company = deciding_company(self._directory, company_id, now_us, now_us, final=True)
        if company is None:
            raise NotFound("company", f"no company {company_id!r} is known", "UNKNOWN_COMPANY")
        feature = company.feature(feature_key)
        if feature is None:
            index = self._directory.index
            known = sorted(index.features) if index else ()
            raise NotFound("feature", lacks("feature", feature_key, known), "UNKNOWN_FEATURE")
        kind = feature.entitlement.feature.kind
        if kind is not FeatureKind.LEVEL:
            raise InvalidInput("feature", f"{feature_key!r} is {kind.name}, not LEVEL")
        status, first_id = self._plane_status, company.snapshot.company

        def work(transaction: Transaction) -> tuple[Sequence[QuotaUsage], Sequence[LevelItem]]:
            reading = read_limit_usage(
                transaction,
                company,
                feature,
                dimensions,
                now_us,
                now_us,
                authority=status.authority,
                sharing=status.rate_sharing,
            )
            if item:
                found = item_of(transaction, first_id, feature_key, item)
                return reading.usages, [] if found is None else [found]
            engine = self._store.engine
            return reading.usages, items_behind(
                engine, transaction, first_id, feature_key, behind, most + 1
            )

        usages, items = self._store.transact(work)
        after = items[most - 1].item if len(items) > most else ""
        basis = status.report_basis(first_id, company.version, now_us)
        return LevelReport(usages, items[:most], after, by_default(basis, company.default_plan))
