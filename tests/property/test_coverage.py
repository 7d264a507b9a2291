"""Coverage against a model: what is said to be known is known, whatever is lost on the way."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sidecar.sync.machine.coverage import Coverage


class CoverageMachine(RuleBasedStateMachine):
    """A ledger of which each version is one change; what of it was heard is kept in a set.

    The stream leaves out what this sidecar changed itself: that comes with the answer to a push.
    """

    def __init__(self) -> None:
        super().__init__()
        self.coverage = Coverage(0)
        self.kept = 0
        self.newest = 0
        self.heard: set[int] = set()
        self.after: int | None = None  # where the stream has got to
        self.pushing: int | None = None

    @rule()
    def others_change(self) -> None:
        self.newest += 1

    @rule()
    def a_stream_begins(self) -> None:
        self.coverage.stream_began()
        self.after = self.newest

    @precondition(lambda self: self.after is not None)
    @rule(dropped=st.booleans(), taken=st.booleans())
    def the_stream_tells(self, dropped: bool, taken: bool) -> None:
        assert self.after is not None
        told = set(range(self.after + 1, self.newest + 1)) - {self.pushing}
        after = self.after
        if dropped and told:
            after = max(told)
        else:
            if not taken and told:
                self.coverage.missed()
                self.after = self.newest
                return
            self.heard |= told
        self.coverage.told(after, self.newest)
        self.after = self.newest

    @precondition(lambda self: self.pushing is None)
    @rule()
    def a_push_is_taken_in(self) -> None:
        self.coverage.push_began()
        self.newest += 1
        self.pushing = self.newest

    @precondition(lambda self: self.pushing is not None)
    @rule(heard=st.booleans())
    def a_push_ends(self, heard: bool) -> None:
        assert self.pushing is not None
        if heard:
            self.heard.add(self.pushing)
        self.coverage.push_ended(heard=heard)
        self.pushing = None

    @rule(further=st.integers(0, 2))
    def what_changed_is_listed(self, further: int) -> None:
        as_of = self.newest
        self.newest += further
        self.heard |= set(range(self.coverage.version + 1, as_of + 1))
        self.coverage.listed(as_of)

    @rule()
    def the_process_is_killed(self) -> None:
        self.coverage = Coverage(self.kept)
        self.after = self.pushing = None

    @rule()
    def it_is_kept(self) -> None:
        self.kept = self.coverage.version

    @rule(after=st.integers(-3, 9), until=st.integers(-3, 0))
    def nonsense_is_told(self, after: int, until: int) -> None:
        self.coverage.told(after, until)

    @invariant()
    def all_that_is_said_to_be_known_is(self) -> None:
        assert self.coverage.version <= self.newest
        missing = set(range(1, self.coverage.version + 1)) - self.heard
        assert not missing, missing


TestCoverage = CoverageMachine.TestCase
TestCoverage.settings = settings(max_examples=60, stateful_step_count=30)


def test_what_follows_on_is_known_and_a_gap_is_seen() -> None:
    coverage = Coverage(0)
    coverage.stream_began()
    coverage.told(5, 7)
    assert not coverage.is_complete
    coverage.listed(6)
    assert (True, 7) == (coverage.is_complete, coverage.version)
    coverage.told(7, 9)
    assert (True, 9) == (coverage.is_complete, coverage.version)
    coverage.told(11, 12)
    assert (False, 9) == (coverage.is_complete, coverage.version)
    coverage.listed(11)
    assert (True, 12) == (coverage.is_complete, coverage.version)


def test_a_new_stream_knows_nothing_until_it_was_asked_for_what_changed_before() -> None:
    coverage = Coverage(9)
    coverage.stream_began()
    coverage.told(9, 10)
    assert (False, 9) == (coverage.is_complete, coverage.version)
    coverage.listed(9)
    assert (True, 10) == (coverage.is_complete, coverage.version)
