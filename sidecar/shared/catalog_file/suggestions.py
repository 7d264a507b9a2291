"""What somebody may have meant by a value or a field that a catalog file cannot have.

Words that other systems use for the same thing stand in the schema, as `x-synonyms` of choices and
of fields: by the right one, the others. What is no such word goes by its looks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.nearest import nearest

_NUMBER: Final = re.compile(r"(\+?)([0-9][0-9 _.,']*)([kKmMgGbB]?)")
_GROUPED: Final = re.compile(r"[0-9]{1,3}(?:[ _.,'][0-9]{3})+")
_MULTIPLES: Final = {"k": 3, "m": 6, "g": 9, "b": 9}
_LENGTH: Final = re.compile(r"(?:([0-9]+) ?)?([a-z]+)\.?")
_UNITS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("min", "mins", "minutely", "m"), "minute"),
    **dict.fromkeys(("h", "hr", "hrs", "hourly"), "hour"),
    **dict.fromkeys(("d", "daily", "24h"), "day"),
    **dict.fromkeys(("w", "wk", "weekly"), "week"),
    **dict.fromkeys(("mo", "mon", "mth", "monthly"), "month"),
    **dict.fromkeys(("q", "quarterly"), "quarter"),
    **dict.fromkeys(("y", "yr", "yearly", "annual", "annually"), "year"),
    **dict.fromkeys(("s", "sec", "secs"), "second"),
    **dict.fromkeys(("forever", "ever", "total", "never", "life", "all"), "lifetime"),
    **dict.fromkeys(("call", "check"), "request"),
}
_TRUTHS: Final = {"yes": "true", "on": "true", "y": "true", "1": "true"} | {
    "no": "false", "off": "false", "n": "false", "0": "false",
}  # fmt: skip


def choice(value: object, choices: Iterable[str], synonyms: Mapping[str, list[str]]) -> str | None:
    """Which of some words is meant by another one."""
    if not isinstance(value, str):
        return None
    folded = value.casefold()
    for right, others in synonyms.items():
        if folded in others or folded.replace("-", "_") in others:
            return right
    return nearest(value, choices)


def truth(value: object) -> str | None:
    """`true` or `false`, where a word of other systems for them stands."""
    return _TRUTHS.get(str(value).casefold())


def pattern(value: object, schema: Mapping[str, Any]) -> str | None:
    """What is meant by a value that the schema does not allow, by what it says of right ones."""
    words, synonyms = schema.get("x-words", ()), schema.get("x-synonyms", {})
    text = "" if value is None else str(value)
    if any(text.casefold() in others for others in synonyms.values()):
        return choice(text, (), synonyms)
    found = whole_number(value) if "x-number" in schema else None
    if found is None and "x-length" in schema:
        return _length(value, words)
    return found or choice(value, words, synonyms)


def whole_number(value: object) -> str | None:
    """A whole number as the file wants it, for `20k`, `20,000`, `20.000`, `2e4` and the like."""
    text = str(value).strip()
    match = _NUMBER.fullmatch(text)
    try:
        if match is None:
            number = Decimal(text)
        else:
            digits = match[2].strip()
            if _GROUPED.fullmatch(digits):
                digits = re.sub(r"[^0-9]", "", digits)
            number = Decimal(digits.replace(",", ".")).scaleb(_MULTIPLES.get(match[3].lower(), 0))
    except InvalidOperation:
        return None
    if number != number.to_integral_value() or not 0 <= number <= INT64_MAX:
        return None
    return f"{match[1] if match else ''}{int(number):_}"


def _length(value: object, words: Iterable[str]) -> str | None:
    """A window or a length of time, for `daily`, `1d`, `Month` and the like."""
    match = _LENGTH.fullmatch(str(value).casefold().strip())
    if match is None:
        return None
    known = list(words)
    unit = _UNITS.get(match[2])
    if unit not in known:
        unit = nearest(match[2], known)
    number = int(match[1] or 1)
    if unit is None or number <= 1:
        return unit if number else None
    return f"{number} {unit}s" if unit[-1] != "e" or unit == "minute" else unit
