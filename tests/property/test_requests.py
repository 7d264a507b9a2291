"""The payload digest tells payloads apart."""

from __future__ import annotations

from typing import Final

from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.limits.requests import Check, payload_digest
from tests.support.build import NOW_US, check

_TEXT: Final = st.text(alphabet="12:ab", min_size=1, max_size=5)
_CHECKS: Final = st.builds(
    check,
    feature=_TEXT,
    quantity=st.integers(0, 12),
    mode=st.sampled_from(list(GrantMode)),
    dimensions=st.dictionaries(_TEXT, _TEXT, max_size=3),
    at_us=st.integers(0, NOW_US),
    metadata=st.dictionaries(_TEXT, _TEXT, max_size=1),
)


def _payload(of: Check) -> tuple[str, int, int, dict[str, str]]:
    return of.feature, of.quantity, of.mode, dict(of.dimensions)


@example(check(feature="a", dimensions={"b": "1:c"}), check(feature="a", dimensions={"b1": ":c"}))
@example(check(feature="a1", quantity=2), check(feature="a", quantity=12))
@given(_CHECKS, _CHECKS)
def test_digests_are_equal_only_for_equal_payloads(one: Check, other: Check) -> None:
    assert (_payload(one) == _payload(other)) == (payload_digest(one) == payload_digest(other))
