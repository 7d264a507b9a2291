"""Which texts may be names, in whatever script; and that this is the same on every Python."""

from __future__ import annotations

import sys
import unicodedata
from collections import defaultdict
from itertools import chain

import pytest

from sidecar.domain import unicode_table
from sidecar.domain.errors import InvalidInput
from sidecar.domain.text import KNOWN_NAMES, NEW_NAMES, NameRule, is_displayable
from tests.lint.unicode_table import table

BYTES_MAX = 128
_ASSIGNED_IN_17 = 159_801
"""Graphic and format characters, as the standard's own count has it; private use is not in it."""
_PRIVATE_USE = 137_468

ALLOWED = {
    "a letter": "a",
    "128 bytes": "x" * 128,
    "128 bytes in 64 characters": "\u00e4" * 64,
    "128 bytes in 43 characters": "\u20ac" * 42 + "ab",
    "128 bytes in 32 characters": "\U0001f600" * 32,
    "punctuation": "a/b:c|d%",
    "a space within": "Acme Inc",
    "Persian, with a non-joiner": "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "Persian, with a mark of direction": "\u0641\u0627\u0631\u0633\u06cc\u200f",
    "Sinhala, with a joiner": "\u0dc1\u0dca\u200d\u0dbb\u0dd3",
    "an ideographic space within": "\u682a\u5f0f\u4f1a\u793e\u3000\u6771\u4eac",
    "a no-break space within": "Acme\u00a0Inc",
    "a family of emoji": "\U0001f469\u200d\U0001f469\u200d\U0001f467",
    "an emoji with a variation selector": "\u2764\ufe0f",
    "a flag of tags": "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "a soft hyphen": "Donau\u00addampf",
    "private use": "\ue000",
    "of Unicode 15": "\u0cf3",
    "of Unicode 17": "\U00010940",
    "decomposed": "Jo\u0308rg",
}

REFUSED_OF_ALL = {
    "129 bytes": "x" * 129,
    "129 bytes in 65 characters": "\u00e4" * 64 + "x",
    "132 bytes in 33 characters": "\U0001f600" * 33,
    "a long text that is also unprintable": "\0" * 1_000_000,
    "a line feed": "a\nb",
    "a carriage return": "a\rb",
    "NUL": "acme\0x",
    "delete": "\x7f",
    "next line": "a\x85b",
    "a line separator": "a\u2028b",
    "a paragraph separator": "a\u2029b",
    "a surrogate": "a\ud800b",
}

REFUSED_OF_NEW = {
    "a space before": " a",
    "a space behind": "a ",
    "a space alone": " ",
    "an ideographic space before": "\u3000a",
    "a no-break space behind": "a\u00a0",
    "a space without width before": "\u200ba",
    "a mark of byte order before": "\ufeffa",
    "never assigned": "a\u0378",
    "a noncharacter": "a\ufdd0",
    "the last code point": "a\U0010ffff",
    "a right-to-left override": "\u202eabc",
    "an isolate": "a\u2066b",
}


def cases(texts: dict[str, str]) -> list[object]:
    return [pytest.param(text, id=name) for name, text in texts.items()]


@pytest.mark.parametrize("text", cases(ALLOWED))
@pytest.mark.parametrize("rule", [NEW_NAMES, KNOWN_NAMES])
def test_a_name_of_any_script_is_taken(rule: NameRule, text: str) -> None:
    assert rule.require_identifier("company", text) == text


@pytest.mark.parametrize("text", cases(REFUSED_OF_ALL))
@pytest.mark.parametrize("rule", [NEW_NAMES, KNOWN_NAMES])
def test_what_could_not_be_kept_apart_or_told_is_refused(rule: NameRule, text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        rule.require("company", text, BYTES_MAX)
    assert caught.value.field == "company"


@pytest.mark.parametrize("text", cases(REFUSED_OF_NEW))
def test_a_name_that_would_not_be_given_now_is_served_where_it_was_given_before(text: str) -> None:
    assert NEW_NAMES.problem(text, BYTES_MAX) is not None
    assert KNOWN_NAMES.problem(text, BYTES_MAX) is None


@pytest.mark.parametrize("rule", [NEW_NAMES, KNOWN_NAMES])
def test_an_identifier_is_not_empty_and_another_text_may_be(rule: NameRule) -> None:
    assert rule.problem("", 0) is None
    assert rule.identifier_problem("") == "must not be empty"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a\nb", "must be printable, has U+000A: a control character"),
        ("a\u2028b", "must be printable, has U+2028: a line break"),
        ("\u202ea", "must be printable, has U+202E: it overrides the direction of writing"),
        ("a\u0378", "must be printable, has U+0378: Unicode 17.0.0 does not assign it"),
        ("a ", "must not begin or end with a space"),
        ("x" * 130, "must be at most 128 bytes, is 130"),
    ],
)
def test_what_is_wrong_with_a_name_is_said(text: str, problem: str) -> None:
    assert NEW_NAMES.identifier_problem(text) == problem


def test_two_spellings_that_look_alike_are_two_names() -> None:
    composed, decomposed = "J\u00f6rg", "Jo\u0308rg"
    assert unicodedata.normalize("NFC", decomposed) == composed
    for text in (composed, decomposed):
        assert NEW_NAMES.require_identifier("company", text) == text


EVERY = [chr(point) for point in range(sys.maxunicode + 1)]
NAMED = [*EVERY[:0x3_4000], *EVERY[0xE_0000:0xE_0200]]
"""All that any version names; the rest is unassigned or for private use."""


def test_as_many_characters_are_taken_as_the_standard_has() -> None:
    refused_marks = 9  # overrides of direction
    taken = "".join(filter(is_displayable, EVERY))
    assert NEW_NAMES.problem(f"x{taken}x", 4 * len(EVERY)) is None
    assert len(taken) == _ASSIGNED_IN_17 + _PRIVATE_USE - len("\u2028\u2029") - refused_marks


def test_what_this_python_knows_is_taken() -> None:
    own, ours = (
        tuple(map(int, version.split(".")))
        for version in (unicodedata.unidata_version, unicode_table.VERSION)
    )
    by_category: dict[str, list[str]] = defaultdict(list)
    for char in NAMED:
        by_category[unicodedata.category(char)].append(char)
    refused = [char for name in ("Cc", "Cs", "Zl", "Zp") for char in by_category.pop(name)]
    assert all(KNOWN_NAMES.problem(f"x{char}x", 6) is not None for char in refused)
    del by_category["Cn"], by_category["Cf"]
    graphic = "".join(chain.from_iterable(by_category.values()))
    assert KNOWN_NAMES.problem(f"x{graphic}x", 4 * len(EVERY)) is None
    if own <= ours:  # what is assigned stays so
        assert all(map(is_displayable, graphic))


@pytest.mark.skipif(
    unicodedata.unidata_version != unicode_table.VERSION,
    reason="this Python has another version of Unicode",
)
def test_the_table_is_what_its_generator_writes() -> None:
    with open(unicode_table.__file__, encoding="utf-8") as file:
        assert file.read() == table(unicodedata.category, unicode_table.VERSION)


def test_the_rest_of_a_terminal_line_cannot_be_steered() -> None:
    steering = "\x1b\n\x7f\x9b\u2028\u202e\u2067\ud800\u0378"
    assert not any(map(is_displayable, steering))
    assert all(map(is_displayable, "a \u200c\u200d\u3000\ufe0f\U0001f469"))
