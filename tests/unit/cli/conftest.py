"""Fixtures for the command line's tests."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from sidecar.cli import output
from tests.unit.cli.fakes import FakeServer, fake_server


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    """A server that answers what the test puts into it."""
    with fake_server() as server:
        yield server


@pytest.fixture
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The clocks of this machine show UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal without colours, 120 columns wide."""
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
