"""Asking the plane for companies, until it has said something of each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import msgspec

from sidecar.directory.directory import Directory
from sidecar.sync.plane import PlaneClient
from sidecar.sync.plane_answers import FetchAnswer, PlaneAway


class SnapshotRequests:
    """Asks for snapshots of companies, and for the catalog where a newer one is there."""

    def __init__(self, plane: PlaneClient, directory: Directory) -> None:
        self._plane = plane
        self._directory = directory

    async def answers(
        self, incarnation: str, companies: Sequence[str], seconds: float
    ) -> AsyncIterator[tuple[Sequence[str], FetchAnswer]]:
        """What the plane says of companies, and of whom; several answers where one has no room."""
        asked = list(companies)
        while asked:
            answer = await self._request(incarnation, asked, seconds)
            yield asked, answer
            left_out = set(answer.left_out)
            rest = [company for company in asked if company in left_out]
            if len(rest) == len(asked):
                raise PlaneAway("an answer that leaves out everything that was asked for")
            asked = rest

    async def _request(
        self, incarnation: str, companies: Sequence[str], seconds: float
    ) -> FetchAnswer:
        index = self._directory.index
        known = 0 if index is None else index.version
        return await self._plane.fetch(incarnation, companies, known, seconds)


def by_first_id(asked: Sequence[str], answer: FetchAnswer) -> tuple[FetchAnswer, list[str]]:
    """What an answer says of companies that were asked for by their first ids; those of others.

    Those are to be asked for again, by these: only then is what others count on them told here.
    """
    names = set(asked)
    others = [found.company for found in answer.companies if found.company not in names]
    if not others:
        return answer, others
    known = [found for found in answer.companies if found.company in names]
    return msgspec.structs.replace(answer, companies=known), others
