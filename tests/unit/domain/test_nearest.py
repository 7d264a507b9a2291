"""What somebody may have meant by a name that is unknown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.nearest import NAMES_MAX, did_you_mean, lacks, nearest

FEATURES = ("api_requests", "exports", "sso", "tokens", "tokens_cached")
LIMITS = ("monthly", "per_user", "daily")


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("tokns", FEATURES, "tokens"),
        ("token", FEATURES, "tokens"),
        ("toknes", FEATURES, "tokens"),
        ("Tokens", FEATURES, "tokens"),
        ("api-requests", FEATURES, "api_requests"),
        ("apirequest", FEATURES, "api_requests"),
        ("soo", FEATURES, "sso"),
        ("usr", ("user", "model"), "user"),
        ("export", FEATURES, "exports"),
        ("api", FEATURES, "api_requests"),
        ("month", LIMITS, "monthly"),
        ("peruser", LIMITS, "per_user"),
        ("Ünïcode", ("ünicode",), "ünicode"),
    ],
)
def test_a_mistyped_name_finds_the_one_that_was_meant(
    word: str, known: tuple[str, ...], meant: str
) -> None:
    assert meant == nearest(word, known)


@pytest.mark.parametrize("word", ["", "s", "seats", "storage", "x" * 200])
def test_a_name_that_is_far_from_all_finds_none(word: str) -> None:
    assert nearest(word, FEATURES) is None


def test_of_equal_distance_the_first_by_its_letters_whatever_the_order() -> None:
    assert "pro1" == nearest("pro", ("pro1", "pro2")) == nearest("pro", ("pro2", "pro1"))


def test_a_sentence_ends_with_the_name_or_as_it_is() -> None:
    assert "; did you mean 'tokens'?" == did_you_mean("tokns", FEATURES)
    assert "" == did_you_mean("storage", FEATURES)
    assert "the catalog has no plan 'Pro'; did you mean 'pro'?" == lacks("plan", "Pro", {"pro"})


def test_names_beyond_the_bound_are_not_looked_at() -> None:
    far = [f"{at:05}" for at in range(NAMES_MAX)]

    assert nearest("tokns", [*far[1:], "tokens"]) == "tokens"
    assert nearest("tokns", [*far, "tokens"]) is None


def test_long_names_that_are_alike_are_given_up_early() -> None:
    class Counted(list[str]):
        looked = 0

        def __iter__(self):  # type: ignore[no-untyped-def]
            for name in super().__iter__():
                self.looked += 1
                yield name

    alike = Counted("ab" * 30 + f"{at:04}" for at in range(NAMES_MAX))
    nearest("ab" * 30 + "zzzz", alike)

    assert alike.looked < NAMES_MAX / 4


@given(st.text(min_size=2, max_size=40), st.lists(st.text(max_size=40), max_size=20))
def test_what_is_found_is_known_and_a_known_name_finds_its_like(
    word: str, known: list[str]
) -> None:
    found = nearest(word, known)

    assert found is None or found in known
