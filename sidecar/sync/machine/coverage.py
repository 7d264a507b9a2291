"""Coverage: up to which version of the plane's ledger all is known of what others have counted.

Rules
- A stream says what it has told: everything after one version and up to another. Who knows all up
  to the first then knows all up to the second; whoever does not has missed something, and asks.
- What was listed from a version on is complete up to the version as of its first page.
- A push is answered with totals, and the stream leaves them out. So while one is under way nothing
  is taken to be told, and where its answer is lost, something was missed.
- Totals that were not taken over were missed.
"""

from __future__ import annotations


class Coverage:
    """What is known to be known. `version`: all changes of the ledger up to it; 0: nothing is."""

    def __init__(self, version: int) -> None:
        self.version = version
        self._told = (0, 0)
        self._is_listed = False
        self._pushing = False

    @property
    def is_complete(self) -> bool:
        """Whether nothing is known to be missing."""
        return self._is_listed and self._told[0] <= self.version

    def stream_began(self) -> None:
        """A stream begins: what changed before it is to be asked for."""
        self._told = (0, 0)
        self._is_listed = False

    def told(self, after: int, until: int) -> None:
        """With the stream's last message, all changes between two versions have been told."""
        if not 0 <= after <= until or not until:
            return
        began, reached = self._told
        if began <= after <= reached:
            after = began
        self._told = (after, until)
        self._extend()

    def listed(self, version: int) -> None:
        """All changes up to a version have been asked for, and heard."""
        self._is_listed = True
        self.version = max(self.version, version)
        self._extend()

    def restarted(self, version: int) -> None:
        """All was told anew, up to a version that may be of another ledger."""
        self.version = version
        self._is_listed = False

    def missed(self) -> None:
        """Something was not heard: it has to be asked for."""
        self._is_listed = False

    def push_began(self) -> None:
        """A run is sent: its answer brings totals that the stream does not."""
        self._pushing = True

    def push_ended(self, *, heard: bool) -> None:
        """The answer was heard, or is lost."""
        self._pushing = False
        if not heard:
            self.missed()
        self._extend()

    def _extend(self) -> None:
        after, until = self._told
        if self._is_listed and not self._pushing and after <= self.version:
            self.version = max(self.version, until)
