"""Which companies' news are kept, where companies are held on demand."""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.directory.directory import Directory
from sidecar.engine.runner import Runner
from sidecar.sync.shared_fetches import SharedFetches
from sidecar.sync.told_companies import chosen
from sidecar.watch.watchlist import Watchlist


class FollowedCompanies:
    """Those that are held, watched, known to be absent, or `asked` for just now."""

    def __init__(
        self, directory: Directory, runner: Runner, asked: SharedFetches[str], watchlist: Watchlist
    ) -> None:
        self._directory = directory
        self._runner = runner
        self._asked = asked
        self._watchlist = watchlist

    async def among(self, companies: Sequence[str], names: Sequence[str]) -> set[str]:
        """Those of some companies that are followed: the rest is not even read.

        `names`: the other ids of all of them. Who is called so is not absent any more, and is asked
        for by whoever needs it: with the first id comes the usage under it.
        """
        if names:
            self._asked.note_outdated(names)
            await self._runner.run_alone(lambda: self._directory.note_called(names))
            for name in names:
                self._watchlist.touch(name)
        return await chosen(self._runner, companies, self.follows)

    def follows(self, company: str) -> bool:
        """Whether news of a company are wanted; called on the store's thread."""
        return company in self._asked or self._directory.follows(company)
