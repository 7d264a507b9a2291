"""How long to wait before the next try."""

from __future__ import annotations

import pytest

from sidecar.shared.backoff import CEILING_US, FIRST_US, Backoff


@pytest.mark.parametrize("share", [0.0, 0.5, 0.999])
def test_ceilings_double_up_to_the_greatest(share: float) -> None:
    backoff = Backoff(lambda: share)
    waits = [backoff.failed() for _ in range(40)]
    ceilings = [min(CEILING_US, FIRST_US * 2**n) for n in range(40)]
    assert [int(ceiling * share) for ceiling in ceilings] == waits


def test_after_a_success_it_starts_again_from_the_shortest() -> None:
    backoff = Backoff(lambda: 0.5)
    first = [backoff.failed() for _ in range(5)]
    backoff.succeeded()
    assert first == [backoff.failed() for _ in range(5)]


def test_failures_without_end_do_not_overflow() -> None:
    backoff = Backoff(lambda: 0.999)
    assert all(backoff.failed() <= CEILING_US for _ in range(5000))
