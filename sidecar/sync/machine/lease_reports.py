"""Under which epoch of the plane all that is held was reported, and whether it has to be again.

Rules
- Under another epoch nothing is asked until all was reported. So it is after the store has left an
  incarnation whose leases were lowered: the plane is to know them as they are now.
- While the store leaves one nothing is asked or reported: it would be outdated before it is sent.
  What was on its way then does not count.
"""

from __future__ import annotations


class LeaseReports:
    """What was reported. `epoch`: to which all was that is held; empty for none.

    `to_report`: under which all is to be reported next; `None` for nothing to do.
    """

    def __init__(self, epoch: str, *, is_stranger: bool) -> None:
        self.epoch = epoch
        self.to_report: str | None = None
        self.is_leaving = False
        self._is_stranger = is_stranger
        self._under_way = False
        self._outdated = False

    @property
    def knows_plane(self) -> bool:
        """Whether the plane knows all that is held, so that it may be asked."""
        return self.to_report is None and not self._is_stranger

    @property
    def keeps_waiting(self) -> bool:
        """Whether nothing can be asked or reported before something else has happened."""
        return self._is_stranger or self._under_way or self.is_leaving

    def greeted(self, epoch: str) -> None:
        """The plane has said which epoch it has."""
        self._is_stranger = False
        self.to_report = None if epoch == self.epoch else epoch

    def epoch_lost(self) -> None:
        """The plane has another epoch, which only a greeting tells."""
        self._is_stranger = True

    def begun(self) -> None:
        """All that is held is being reported."""
        self._under_way = True

    def ended(self, epoch: str | None) -> None:
        """The report is over; `None` where it has failed."""
        self._under_way = False
        outdated, self._outdated = self._outdated, False
        if epoch is None or outdated:
            return
        self.epoch = epoch
        if self.to_report == epoch:
            self.to_report = None

    def leave(self) -> None:
        """The store is about to leave its incarnation: all is to be reported anew after that."""
        self.is_leaving = True
        self._outdated = self._under_way
        self.to_report = self.to_report or self.epoch or None
        self.epoch = ""

    def left(self) -> None:
        """The store has left it, or has failed to."""
        self.is_leaving = False
