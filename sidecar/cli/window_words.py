"""Windows in words for people."""

from __future__ import annotations

from typing import Final

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.shared.api_json import enum_name

_WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def window_words(window: catalog_pb2.Window) -> str:
    """Write a window layout, such as `month`, `3 billing months` or `week from Sun`."""
    if window.unit == catalog_pb2.WINDOW_UNIT_REQUEST:
        return "request"
    if window.unit == catalog_pb2.WINDOW_UNIT_LIFETIME:
        return "lifetime"
    unit = str(enum_name(catalog_pb2.WindowUnit.DESCRIPTOR, window.unit)).lower()
    if window.alignment == catalog_pb2.ALIGNMENT_ANCHORED:
        unit = f"billing {unit}"
    text = unit if window.interval in (0, 1) else f"{window.interval} {unit}s"
    if window.first_weekday:
        text += f" from {_WEEKDAYS[window.first_weekday % 7]}"
    return text


def per_words(window: catalog_pb2.Window, kind: int) -> str:
    """Write how often there is an amount of a feature of a kind: `per month`, or `at a time`."""
    lasts = window.unit == catalog_pb2.WINDOW_UNIT_LIFETIME
    is_of_seats = lasts and kind == catalog_pb2.FEATURE_KIND_SEATS
    if is_of_seats or window.unit == catalog_pb2.WINDOW_UNIT_LEVEL:
        return "at a time"
    return f"per {window_words(window)}"
