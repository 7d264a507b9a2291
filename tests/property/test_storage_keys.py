"""No two things share a key, and no listing takes in what belongs to another."""

from __future__ import annotations

from typing import Final

from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.storage import keys

_NAMES: Final = st.text(alphabet="ab1:\u00e4 ", min_size=1, max_size=4)
_COUNTERS: Final = st.tuples(
    _NAMES,
    _NAMES,
    st.sampled_from(["DAY/1/CALENDAR||", "DAY/1/CALENDAR|user|", "DAY/1/CALENDAR|user,b|"]),
    st.lists(st.text(alphabet="1:a", max_size=3), max_size=3).map(tuple),
    st.integers(-(10**15), 10**16),
)
_Counter = tuple[str, str, str, tuple[str, ...], int]


def _key(of: _Counter) -> bytes:
    return keys.counter_key(keys.counter_base(*of[:4]), of[4])


@example(("a", "b1", "s", (), 0), ("a", "b", "s", ("1",), 0))
@example(("a", "b", "s", ("1", "1"), 0), ("a", "b", "s", ("11",), 0))
@example(("a", "b", "s", ("1:a",), 0), ("a", "b", "s", ("", "a"), 0))
@example(("a", "b", "s", ("",), 0), ("a", "b", "s", (), 0))
@given(_COUNTERS, _COUNTERS)
def test_counters_have_equal_keys_only_if_they_are_equal(one: _Counter, other: _Counter) -> None:
    assert (one == other) == (_key(one) == _key(other))


@given(_COUNTERS, _COUNTERS)
def test_a_key_begins_with_its_own_slot_and_no_other(one: _Counter, other: _Counter) -> None:
    same_slot = one[:3] == other[:3]
    assert same_slot == _key(one).startswith(keys.counters_of(*other[:3]))


@example("a", "b1", "ab", "1")
@given(_NAMES, _NAMES, _NAMES, _NAMES)
def test_answers_have_equal_keys_only_for_equal_company_and_idempotency_key(
    company: str, key: str, other_company: str, other_key: str
) -> None:
    same = (company, key) == (other_company, other_key)
    assert same == (keys.answer_hash(company, key) == keys.answer_hash(other_company, other_key))
