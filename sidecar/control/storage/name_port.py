"""The part of the port about the ids that companies were renamed to.

All that is stored of a company is stored under its first id. The others lead there, for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class NameReads(Protocol):
    """Questions to one state of the store."""

    def first_ids(self, names: Iterable[str]) -> dict[str, str]:
        """First ids of companies, by those of the names that they were renamed to."""
        ...

    def called(self, ids: Iterable[str]) -> dict[str, str]:
        """What companies are called now, by first id; only of those that were ever renamed."""
        ...

    def company_names_after(self, name: str, limit: int) -> list[str]:
        """Greater names that companies were renamed to, in their order."""
        ...


class NameWrites(NameReads, Protocol):
    """Questions and changes."""

    def put_company_name(self, name: str, company: str, revision: int) -> None:
        """A company, by its first id, is called by a name as of a revision."""
        ...
