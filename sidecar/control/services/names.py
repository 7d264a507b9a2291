"""The ids that companies are called by: whichever is asked for, the first one is meant.

All that is stored of a company is stored under its first id, for ever. The ids that it was renamed
to lead there, and none of them is ever another company's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from sidecar.control.rules.records import Record, Unreadable
from sidecar.control.storage.port import ReadTransaction


def first_id(transaction: ReadTransaction, name: str) -> str:
    """The first id of the company that is called by a name; the name where there is no such."""
    return transaction.first_ids([name]).get(name, name)


class Called:
    """What companies are called now, by their first ids; within one transaction."""

    def __init__(self, transaction: ReadTransaction, ids: Iterable[str]) -> None:
        self._called: Mapping[str, str] = transaction.called(dict.fromkeys(ids))

    def __call__(self, company: str) -> str:
        return self._called.get(company, company)


def by_first_ids(
    transaction: ReadTransaction, records: Sequence[Record | Unreadable]
) -> Sequence[Record | Unreadable]:
    """Records with the first ids of their companies.

    A sidecar that knows a company says its first id. One that says another had not heard of it, so
    where the usage belongs is for the plane to find out; it was counted under what was said.
    """
    said = {record.company for record in records if isinstance(record, Record)}
    known = transaction.first_ids(said)
    if not known:
        return records
    return [
        msgspec.structs.replace(record, company=known[record.company], unattributed=True)
        if isinstance(record, Record) and record.company in known
        else record
        for record in records
    ]
