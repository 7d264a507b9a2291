"""What of a company's level is billed for a window."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from sidecar.control.services.attribution import load_index
from sidecar.control.services.directory import no_company
from sidecar.control.services.filling import timeline_of
from sidecar.control.services.names import first_id
from sidecar.control.storage.port import PlaneStore, ReadTransaction
from sidecar.domain.bounds import EVENT_PAST_US_MAX
from sidecar.domain.catalog.kinds import LevelBilling
from sidecar.domain.catalog.model import FeatureKind
from sidecar.domain.errors import Exhausted, InvalidInput, NotFound
from sidecar.domain.levels.billing import ChangeAt, LevelBill, bill_of
from sidecar.domain.nearest import lacks
from sidecar.domain.time.company_windows import company_window
from sidecar.domain.time.windows import Window, WindowSpec, WindowUnit

CHANGES_MAX: Final = 5_000_000
"""Instants of one window at which a level changed: about ten seconds' work."""
_READ_AT_ONCE: Final = 10_000
_USUAL: Final = WindowSpec(WindowUnit.MONTH)
"""Where a feature does not say by which windows it is billed."""


class WindowBill(msgspec.Struct, frozen=True):
    """The bill of a window, up to now where it runs. `billing`: `None` where it is not said.

    `is_final`: no report that may still come changes it.
    """

    window: Window
    bill: LevelBill
    billing: LevelBilling | None
    is_final: bool


def level_bill(
    store: PlaneStore, company: str, feature: str, at_us: int, now_us: int
) -> WindowBill:
    """What is billed for the window that holds an instant, by the ledger's events.

    Raises `NotFound` for an unknown company or feature, `InvalidInput` for one that is no LEVEL or
    a window that has not begun, and `Exhausted` where the level changed too often in it.
    """
    with store.read() as transaction:
        said, company = company, first_id(transaction, company)
        snapshot = timeline_of(transaction, company)
        if snapshot is None:
            raise no_company(transaction, said)
        index = load_index(transaction)
        known = index.features.get(feature)
        if known is None:
            raise NotFound("feature", lacks("feature", feature, index.features))
        if known.kind is not FeatureKind.LEVEL:
            raise InvalidInput("feature", f"{feature!r} is {known.kind.name}, not LEVEL")
        spec = _USUAL if known.billing is None else known.billing.window
        window = company_window(snapshot.phases, spec, at_us)
        if window.start_us > now_us:
            raise InvalidInput("at", "is in a window that has not begun")
        until_us = min(window.end_us, now_us)
        before = transaction.level_at(company, feature, window.start_us)
        changes = _changes(transaction, company, feature, window.start_us, until_us)
        bill = bill_of(window.start_us, until_us, before, changes)
    is_final = window.end_us + EVENT_PAST_US_MAX <= now_us
    return WindowBill(window, bill, known.billing, is_final)


def _changes(
    transaction: ReadTransaction, company: str, feature: str, after_us: int, until_us: int
) -> Iterator[ChangeAt]:
    room = CHANGES_MAX
    while True:
        found = transaction.level_changes(company, feature, after_us, until_us, _READ_AT_ONCE)
        yield from found
        room -= len(found)
        if len(found) < _READ_AT_ONCE:
            return
        if room <= 0:
            message = f"the level changed more than {CHANGES_MAX:,} times in the window"
            raise Exhausted("at", message)
        after_us = found[-1].at_us
