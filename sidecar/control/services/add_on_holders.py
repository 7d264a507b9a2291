"""How many companies hold an add-on: it has no versions, and a change of it is theirs at once."""

from __future__ import annotations

from typing import Final

from sidecar.control.storage.port import ReadTransaction
from sidecar.domain.company.held_plans import held_at
from sidecar.domain.company.model import Company
from sidecar.domain.difference.changes import Change, ChangeAction

_PAGE: Final = 500
_OF_NO_GRANT: Final = {"name"}
"""Fields of an add-on that change nothing for those who hold it."""


def changes_for_holders(change: Change) -> bool:
    """Whether companies that hold an add-on have something else by a change."""
    return (
        change.kind == "add_on"
        and change.action is ChangeAction.UPDATED
        and any(field.path not in _OF_NO_GRANT for field in change.fields)
    )


def holders(transaction: ReadTransaction, add_on: str, now_us: int) -> int:
    """Companies that hold an add-on now."""
    count, after = 0, ""
    while page := transaction.companies_naming([add_on], after, _PAGE):
        count += sum(_holds(stored.company, add_on, now_us) for stored in page)
        after = page[-1].company.id
    return count


def _holds(company: Company, add_on: str, now_us: int) -> bool:
    if company.subscription is None:
        return False
    held = held_at(company.subscription, now_us).add_ons
    return any(each.add_on == add_on for each in held)
