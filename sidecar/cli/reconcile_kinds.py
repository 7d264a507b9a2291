"""What the records of a company add up to, held against what is kept of it at the control plane.

Of credits: what records burned, and what was refunded and repaid, by source of a balance, against
the source's counter. Of levels: the sum of all changes, against what is in use, which is more where
several took back the same: no level falls below nothing. Of seats: who has one, against how many
are held. What is kept is read before and after the records: only where both are the same has
nothing come in between.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import grpc

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import control_pb2, control_pb2_grpc, credits_pb2, credits_pb2_grpc
from sidecar.cli.common import CliError
from sidecar.shared.api_json import instant_of

PAGES_MAX: Final = 10_000
"""Of one list; 10 million events of a company's history, or seats."""
_PAGE_MAX: Final = 1_000
_SUMS_MAX: Final = 10_000
_GRANT: Final = "grant"
_DEBT: Final = "debt"
_BURNED: Final = (credits_pb2.CREDIT_EVENT_KIND_BURNED, credits_pb2.CREDIT_EVENT_KIND_REPAID)


class KeptAt(NamedTuple):
    """Where something of a company is kept: a limit, a grant, what is owed.

    `start_us`: when the window of a limit of credits began; else 0.
    """

    company: str
    feature: str
    kind: str
    what: str
    start_us: int = 0


@dataclass(frozen=True, slots=True)
class Kept:
    """One place: what records add up to, and what is kept.

    In micro-credits, the feature's unit, or seats.
    """

    place: KeptAt
    recorded: int
    kept: int

    @property
    def difference(self) -> int:
        """What is kept too little of; negative: too much."""
        return self.recorded - self.kept

    def as_dict(self) -> dict[str, object]:
        """Return what scripts read."""
        return {
            "company": self.place.company,
            "feature": self.place.feature,
            "kind": self.place.kind,
            "what": self.place.what,
            "recorded": self.recorded,
            "kept": self.kept,
            "difference": self.difference,
        }


def compare_company(
    channel: grpc.Channel, company: str, timeout_s: float
) -> tuple[list[Kept], bool]:
    """Compare credits, levels and seats of a company, and say whether nothing came in meanwhile.

    Raises `CliError` where there is more of it than can be read.
    """
    reading = _Reading(channel, company, timeout_s)
    kept = reading.kept()
    recorded = reading.recorded()
    is_settled = kept == reading.kept()
    # Windows of before are in the history, and in no balance any more; all grants are in both.
    known = {place for place in recorded if place.what.startswith(f"{_GRANT} ")}
    rows = [
        Kept(place, recorded.get(place, 0), kept.get(place, 0))
        for place in sorted(kept.keys() | known)
    ]
    return rows, is_settled


class _Reading:
    """Asks the plane about one company."""

    def __init__(self, channel: grpc.Channel, company: str, timeout_s: float) -> None:
        self._control = control_pb2_grpc.ControlServiceStub(channel)
        self._credits = credits_pb2_grpc.CreditServiceStub(channel)
        self._company = company
        self._timeout_s = timeout_s
        catalog = self._control.GetCatalog(control_pb2.GetCatalogRequest(), timeout=timeout_s)
        features = catalog.catalog.catalog.features
        self._levels = _keys(features, catalog_pb2.FEATURE_KIND_LEVEL)
        self._seats = _keys(features, catalog_pb2.FEATURE_KIND_SEATS)

    def kept(self) -> Mapping[KeptAt, int]:
        """What is kept of all that is compared."""
        return dict([*self._sources(), *self._grants(), *self._in_use(), *self._seats_held()])

    def recorded(self) -> Mapping[KeptAt, int]:
        """What records add up to."""
        found = Counter(self._burned())
        sums = self._control.QueryUsage(
            control_pb2.QueryUsageRequest(company=self._company, max_sums=_SUMS_MAX),
            timeout=self._timeout_s,
        )
        changes = {each.feature: each.quantity for each in sums.sums}
        for place, _ in self._in_use():
            found[place] = changes.get(place.feature, 0)
        for feature in self._seats:
            for page in self._seat_pages(feature):
                for seat in page.seats:
                    found[self._place(feature, "seats", f"limit {seat.limit}")] += 1
        return found

    def _sources(self) -> Iterator[tuple[KeptAt, int]]:
        request = credits_pb2.GetCreditBalanceRequest(company=self._company)
        answer = self._credits.GetCreditBalance(request, timeout=self._timeout_s)
        for balance in answer.balances:
            yield self._place(balance.feature, "credits", _DEBT), balance.debt
            for source in balance.sources:
                if source.limit:
                    start_us = instant_of(source.window.start)
                    what = f"limit {source.limit}"
                    place = self._place(balance.feature, "credits", what, start_us)
                    yield place, source.account.burned

    def _grants(self) -> Iterator[tuple[KeptAt, int]]:
        request = credits_pb2.ListCreditGrantsRequest(
            company=self._company, with_over=True, page_size=_PAGE_MAX
        )
        for page in self._pages(self._credits.ListCreditGrants, request):
            for each in page.grants:
                what = f"{_GRANT} {each.grant.id}"
                yield self._place(each.grant.feature, "credits", what), each.account.burned

    def _in_use(self) -> Iterator[tuple[KeptAt, int]]:
        """What is in use of levels, by limits on which all of it counts."""
        for feature in self._levels:
            request = control_pb2.GetCompanyUsageRequest(company=self._company, feature=feature)
            for page in self._pages(self._control.GetCompanyUsage, request):
                for usage in page.limits:
                    scope = usage.limit.scope
                    if not (scope.dimensions or scope.match or scope.match_any):
                        yield self._place(feature, "level", f"limit {usage.limit.id}"), usage.used

    def _seats_held(self) -> Iterator[tuple[KeptAt, int]]:
        for feature in self._seats:
            for limit in next(self._seat_pages(feature)).limits:
                yield self._place(feature, "seats", f"limit {limit.limit}"), limit.held

    def _seat_pages(self, feature: str) -> Iterator[control_pb2.ListSeatsResponse]:
        request = control_pb2.ListSeatsRequest(
            company=self._company, feature=feature, page_size=_PAGE_MAX
        )
        return self._pages(self._control.ListSeats, request)

    def _burned(self) -> Mapping[KeptAt, int]:
        """What is burned of each source by all that has happened, and what is owed."""
        found: Counter[KeptAt] = Counter()
        request = credits_pb2.ListCreditHistoryRequest(company=self._company, page_size=_PAGE_MAX)
        for page in self._pages(self._credits.ListCreditHistory, request):
            for event in page.events:
                sign = 1 if event.kind in _BURNED else -1
                if event.kind == credits_pb2.CREDIT_EVENT_KIND_REPAID:
                    found[self._place(event.feature, "credits", _DEBT)] -= event.amount
                for part in event.parts:
                    found[self._source(event.feature, part)] += sign * part.amount
        return found

    def _source(self, feature: str, part: credits_pb2.CreditEventPart) -> KeptAt:
        if part.overdraft:
            return self._place(feature, "credits", _DEBT)
        if part.grant:
            return self._place(feature, "credits", f"{_GRANT} {part.grant}")
        start_us = instant_of(part.window.start)
        return self._place(feature, "credits", f"limit {part.limit}", start_us)

    def _place(self, feature: str, kind: str, what: str, start_us: int = 0) -> KeptAt:
        return KeptAt(self._company, feature, kind, what, start_us)

    def _pages(self, ask: Any, request: Any) -> Iterator[Any]:
        for _ in range(PAGES_MAX):
            page = ask(request, timeout=self._timeout_s)
            yield page
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token
        raise CliError(f"there is more of {self._company!r} than {PAGES_MAX} pages")


def _keys(features: Iterable[catalog_pb2.Feature], kind: int) -> list[str]:
    return sorted(feature.key for feature in features if feature.kind == kind)
