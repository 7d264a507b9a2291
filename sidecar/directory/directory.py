"""The directory: who the companies are and what they may do, arranged for deciding quickly.

It holds the catalog and a bounded number of companies in memory, least recently used first out; the
store holds more of them, or all. A company's limits are resolved on first use and kept until its
timeline moves to another segment, or its snapshot or the catalog changes.

A company that the plane does not have is remembered as such, until the plane's changes bring it,
also by the store (`absent_companies.py`).
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Collection, Container, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from sidecar.directory.absent_companies import AbsentCompanies
from sidecar.directory.company_cache import CompanyCache
from sidecar.directory.resolved import ResolvedCompany
from sidecar.domain.bounds import BEGINNING_US
from sidecar.domain.catalog.model import AddOn, Plan
from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.company.timeline import default_snapshot, segment_at
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.slices import Slices, pages, whole
from sidecar.storage.snapshots import SnapshotChanges, Snapshots

_FORGOTTEN_ONE_BY_ONE_MAX: Final = 1_000
"""Past so many companies that change, it costs less to forget everybody."""
_NOTED_AT_ONCE: Final = 200
"""Companies that one step of maintenance looks at; a large one counts as many."""
_WEIGHT_OF_ONE: Final = 20
"""Phases, add-ons and overrides of a company in memory, on average: with more, fewer are kept."""
_LET_GO_AT_ONCE: Final = 4
"""Companies that go for one that comes."""
_GRANTS_AT_ONCE: Final = 5_000
"""Grants of a catalog that is left whose memory one step gives back."""


class Directory:
    """Finds companies. `companies_max` bounds how many are kept in memory.

    `company_cache`: bounds how many are kept in the store; `None` for no bound. `authority`: there
    is no plane, so what is not stored does not exist. `watched`: companies of which all news are
    wanted.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        companies_max: int,
        *,
        company_cache: CompanyCache | None = None,
        authority: bool = False,
        watched: Container[str] = (),
    ) -> None:
        self._snapshots = snapshots
        self._companies_max = companies_max
        self._company_cache = company_cache
        self._authority = authority
        self._watched = watched
        self._wanted: Counter[str] = Counter()
        self._wanted_ids: dict[str, str] = {}  # of those wanted by another id, once it is known
        self._resolved: OrderedDict[str, ResolvedCompany] = OrderedDict()
        self._called: dict[str, str] = {}  # first ids of those, by the others
        self._weight = 0  # of all of them
        self._weight_max = companies_max * _WEIGHT_OF_ONE
        self._defaults: OrderedDict[str, ResolvedCompany] = OrderedDict()
        self._absent = AbsentCompanies(snapshots.store)
        # What no decision finds any more.
        self._left: list[OrderedDict[str, ResolvedCompany]] = []
        self._left_pieces: list[tuple[Plan | AddOn, object]] = []
        stored = snapshots.catalog()
        self._index = CatalogIndex(stored.catalog, stored.version) if stored else None

    def has_feature(self, key: str) -> bool:
        """Whether the catalog in force has a feature."""
        return self._index is not None and key in self._index.features

    @property
    def index(self) -> CatalogIndex | None:
        """The catalog, once there is one."""
        return self._index

    def company(self, company: str, at_us: int) -> ResolvedCompany | None:
        """The company in the segment that holds an instant; `None` if no snapshot is held.

        Whichever of its ids it is asked for by.
        """
        resolved = self._resolved.get(company)
        if resolved is None:
            return self._load(company, at_us)
        segment = resolved.segment
        if segment.from_us <= at_us < segment.until_us:
            self._resolved.move_to_end(company)
            return resolved
        return self._keep(resolved.snapshot, at_us)

    def first_id(self, company: str, at_us: int) -> str:
        """The first id of the company that is called so, if it is held; else what was given."""
        if company in self._resolved:
            return company
        found = self.company(company, at_us)
        return company if found is None else found.snapshot.company

    def known_first_id(self, company: str) -> str:
        """The same as far as it is in memory; for the event loop."""
        return self._called.get(company, company)

    def default_company(self, company: str) -> ResolvedCompany | None:
        """What stands in for a company that is unknown; `None` without a default plan."""
        resolved = self._defaults.get(company)
        if resolved is not None:
            self._defaults.move_to_end(company)
            return resolved
        index = self._index
        if index is None or not index.catalog.default_plan:
            return None
        snapshot = default_snapshot(company, index.catalog.default_plan, index.version)
        segment = segment_at(snapshot, BEGINNING_US)
        resolved = ResolvedCompany(snapshot, segment, index, is_default=True)
        self._defaults[company] = resolved
        if len(self._defaults) > self._companies_max:
            self._defaults.popitem(last=False)
        return resolved

    def is_absent(self, company: str, now_us: int, *, final: bool = False) -> bool:
        """Whether a company that is not held is known not to exist.

        `final`: the plane can't be asked again; what it said last holds.
        """
        if self._authority or (final and company in self._absent):
            return True
        return self._absent.until_us(company) > now_us

    def apply(self, changes: SnapshotChanges) -> None:
        """Write changes to the store, all at once; every later decision obeys them."""
        whole(self.applying(changes))

    def applying(self, changes: SnapshotChanges) -> Slices[None]:
        """The same in bounded steps; one set of changes after the other.

        Decisions obey all of them from one step on, and none of them before.
        """
        index = None
        if changes.catalog is not None:
            catalog = changes.catalog
            index = yield from CatalogIndex.in_slices(catalog.catalog, catalog.version)

        def switched(catalog_taken: bool) -> Slices[None]:
            self._switch(changes, index if catalog_taken else None)
            yield from self._note_held(changes)

        yield from self._snapshots.applying(changes, switched)
        yield from self._dismantled()
        yield from self._evict(changes.companies)

    @contextmanager
    def wanting(self, companies: Collection[str]) -> Iterator[None]:
        """Companies are about to be used: they are not evicted for others. For the event loop."""
        self._wanted.update(companies)
        try:
            yield
        finally:
            for company in companies:
                self._wanted[company] -= 1
                if not self._wanted[company]:
                    del self._wanted[company]
                    self._wanted_ids.pop(company, None)

    def in_use(self) -> list[str]:
        """Ids of the companies that were used of late, also of those known not to exist."""
        return [*self._resolved, *self._absent]

    def remember_absent(self, companies: Sequence[str], until_us: int, revision: int) -> None:
        """The control plane, as of a revision, does not have them: do not ask before an instant.

        But for those that it has brought meanwhile.
        """
        absent = [company for company in companies if not self._snapshots.holds(company)]
        self._absent.remember(absent, until_us, revision)

    def note_called(self, names: Sequence[str]) -> None:
        """Companies were renamed so: none of the names is absent any more."""
        self._absent.called(names)
        for name in names:
            self._defaults.pop(name, None)

    def absent(self) -> list[str]:
        """Ids of the companies that are known not to exist."""
        return list(self._absent)

    def follows(self, company: str) -> bool:
        """Whether news of a company are to be kept: it is held, watched, or known to be absent."""
        return company in self._absent or company in self._watched or self._snapshots.holds(company)

    def holds(self, company: str, now_us: int) -> bool:
        """Whether there is no need to ask the plane for a company: it is held, or known absent."""
        return (
            company in self._resolved
            or self.is_absent(company, now_us)
            or self._snapshots.holds(company)
        )

    def _switch(self, changes: SnapshotChanges, index: CatalogIndex | None) -> None:
        """Have every later decision find what has just been written."""
        if index is not None:
            if self._index is not None:
                self._left_pieces += self._index.pieces()
            self._index = index
        changed = len(changes.companies) + len(changes.removed)
        if index is not None or changed > _FORGOTTEN_ONE_BY_ONE_MAX:
            self._left += [self._resolved, self._defaults]
            self._resolved, self._defaults = OrderedDict(), OrderedDict()
            self._called = {}
            self._weight = 0
            return
        left: OrderedDict[str, ResolvedCompany] = OrderedDict()
        for snapshot in changes.companies:
            self._forget(snapshot.company, left)
            for name in snapshot.names:
                self._defaults.pop(name, None)
        for company in changes.removed:
            self._forget(company, left)
        if left:
            self._left.append(left)

    def _note_held(self, changes: SnapshotChanges) -> Slices[None]:
        """Bring what is known of who is held, and of who is absent, in line with the store."""
        for arrived in pages(changes.companies, _NOTED_AT_ONCE):
            for snapshot in arrived:
                self._absent.arrived(snapshot.company, *snapshot.names)
                wanted = self._wanted.keys() & snapshot.names if snapshot.names else ()
                self._wanted_ids.update((name, snapshot.company) for name in wanted)
            if self._company_cache is not None:
                self._company_cache.applied(arrived, ())
                for snapshot in arrived:
                    if snapshot.company in self._resolved:
                        self._company_cache.pin(snapshot.company)
            if len(arrived) == _NOTED_AT_ONCE:
                yield
        for removed in pages(changes.removed, _NOTED_AT_ONCE):
            if self._company_cache is not None:
                self._company_cache.applied((), removed)
            if len(removed) == _NOTED_AT_ONCE:
                yield

    def _evict(self, arrived: Sequence[CompanySnapshot]) -> Slices[None]:
        """Let companies go that are held beyond the bound, for others that have arrived."""
        company_cache = self._company_cache
        if company_cache is None:
            return
        while gone := company_cache.to_evict(
            arrived, self._watched, self._wanted, frozenset(self._wanted_ids.values())
        ):
            changes = SnapshotChanges(removed=gone)
            yield from self._snapshots.applying(changes)
            self._switch(changes, None)
            company_cache.applied((), gone)
            yield

    def _dismantled(self) -> Slices[None]:
        """Give back what decisions no longer find: so much memory takes its time."""
        while self._left:
            left, weight = self._left[0], 0
            while left and weight < _NOTED_AT_ONCE:
                company, resolved = left.popitem(last=False)
                weight += resolved.snapshot.weight
                if self._company_cache is not None and company not in self._resolved:
                    self._company_cache.unpin(company)
            if not left:
                del self._left[0]
            yield
        grants = 0
        while self._left_pieces:
            sold, _ = self._left_pieces.pop()
            grants += 1 + len(sold.entitlements)
            if grants > _GRANTS_AT_ONCE:
                grants = 0
                yield

    def _forget(self, company: str, left: OrderedDict[str, ResolvedCompany]) -> None:
        """Have no decision find a company; its memory is given back later, as it may be much."""
        resolved = self._resolved.pop(company, None)
        if resolved is not None:
            left[company] = resolved
            self._let_go(resolved)
        self._defaults.pop(company, None)

    def _load(self, company: str, at_us: int) -> ResolvedCompany | None:
        first = self._called.get(company)
        if first is not None:
            return self.company(first, at_us)
        snapshot = self._snapshots.company(company)
        return None if snapshot is None else self._keep(snapshot, at_us)

    def _let_go(self, resolved: ResolvedCompany) -> None:
        """A company is not in memory any more."""
        self._weight -= resolved.snapshot.weight
        for name in resolved.snapshot.names:
            self._called.pop(name, None)

    def _keep(self, snapshot: CompanySnapshot, at_us: int) -> ResolvedCompany | None:
        if self._index is None:
            return None
        resolved = ResolvedCompany(snapshot, segment_at(snapshot, at_us), self._index)
        before = self._resolved.get(snapshot.company)
        self._weight += snapshot.weight - (0 if before is None else before.snapshot.weight)
        self._resolved[snapshot.company] = resolved
        self._resolved.move_to_end(snapshot.company)
        for name in snapshot.names:
            if name != snapshot.company:
                self._called[name] = snapshot.company
        if self._company_cache is not None:
            self._company_cache.pin(snapshot.company)
        for _ in range(_LET_GO_AT_ONCE):
            too_many = len(self._resolved) > self._companies_max
            if not too_many and (self._weight <= self._weight_max or len(self._resolved) == 1):
                break
            company, gone = self._resolved.popitem(last=False)
            self._let_go(gone)
            if self._company_cache is not None:
                self._company_cache.unpin(company)
        return resolved
