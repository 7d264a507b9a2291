"""What the plane's rows say of balances, read by themselves: no account that it works out."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Final, NamedTuple

from sidecar.domain.limits.counters import CounterName, CounterRef
from sidecar.domain.time.windows import LIFETIME_WINDOW, Window
from tests.simulation.credits.given import Given
from tests.simulation.credits.offers import CREDITS
from tests.simulation.leases.accounts import KEY, name_of
from tests.simulation.leases.plane_store import PlaneDatabase

OVERDRAFT: Final = "OVERDRAFT"
GRANT: Final = "GRANT|"
_REFUNDED, _REPAID, _BURNED, _BURNED_ANEW = 3, 4, 5, 6
_TOTALS: Final = f"SELECT {KEY}, total FROM counter WHERE feature = '{CREDITS}'"
_ENTRIES: Final = (
    "SELECT company, kind, parts, incarnation, sequence FROM credit_entry ORDER BY number"
)
_LOSSES: Final = "SELECT company, slot, amount FROM credit_loss"


class PlaneEntry(NamedTuple):
    """What the plane did with a balance. `lost`: what of a refund did not return."""

    company: str
    kind: int
    parts: tuple[tuple[CounterName, int], ...]
    lost: int
    record: tuple[bytes, int]

    @property
    def amount(self) -> int:
        """All of it but what is lost."""
        return sum(amount for _, amount in self.parts)

    @property
    def is_refund(self) -> bool:
        """Whether it gives back what a record burned."""
        return self.kind == _REFUNDED

    @property
    def is_burn(self) -> bool:
        """Whether it burns what a record costs."""
        return self.kind in (_BURNED, _BURNED_ANEW)

    @property
    def is_in_place(self) -> bool:
        """Whether it does so in place of all that the record says."""
        return self.kind == _BURNED_ANEW

    def moves(self) -> Counter[CounterName]:
        """What it adds to counters."""
        moved: Counter[CounterName] = Counter()
        for name, amount in self.parts:
            moved[name] += -amount if self.is_refund else amount
            if self.kind == _REPAID:
                moved[overdraft_name(self.company)] -= amount
        return moved


def grant_name(given: Given) -> CounterName:
    """The counter of a grant."""
    window = Window(given.effective_us, given.expires_us)
    return CounterName(given.company, CREDITS, CounterRef(GRANT + given.id, (), window))


def overdraft_name(company: str) -> CounterName:
    """The counter of what a company owes."""
    return CounterName(company, CREDITS, CounterRef(OVERDRAFT, (), LIFETIME_WINDOW))


def burned_in_all(store: PlaneDatabase) -> Counter[str]:
    """By company: what its balance has burned, or owes."""
    burned: Counter[str] = Counter()
    for row in store.rows(_TOTALS):
        burned[name_of(row[:6]).company] += row[6]
    return burned


def entries_of(store: PlaneDatabase) -> list[PlaneEntry]:
    """All that the plane did with balances."""
    found = []
    for company, kind, text, incarnation, sequence in store.rows(_ENTRIES):
        parts = json.loads(text)
        kept = tuple(
            (_name(company, part["counter"]), part["amount"])
            for part in parts
            if not part["is_lost"] and kind >= _REFUNDED
        )
        lost = sum(part["amount"] for part in parts if part["is_lost"])
        found.append(PlaneEntry(company, kind, kept, lost, (incarnation, sequence)))
    return found


def owed_by_plane(store: PlaneDatabase, company: str) -> int:
    """What the plane has burned of a company's overdraft for usage that had happened."""
    name = overdraft_name(company)
    return sum(
        amount
        for entry in entries_of(store)
        if entry.is_burn
        for of, amount in entry.parts
        if of == name
    )


def lost_of(store: PlaneDatabase) -> dict[tuple[str, str], int]:
    """By company and slot: what was refunded and did not return."""
    found: dict[tuple[str, str], int] = defaultdict(int)
    for company, slot, amount in store.rows(_LOSSES):
        found[company, slot] += amount
    return found


def _name(company: str, counter: dict[str, object]) -> CounterName:
    window = counter["window"]
    assert isinstance(window, dict)
    ref = CounterRef(str(counter["slot"]), (), Window(window["start_us"], window["end_us"]))
    return CounterName(company, CREDITS, ref)
