"""What commands draw fits a terminal of 80 columns, with names, numbers and times as they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from sidecar.cli import output
from sidecar.cli.init import template_text
from sidecar.demo.system import System
from tests.unit.cli.fakes import tallyd

COLUMNS: Final = 80
WHO: Final = ("-d", "user=alice", "-d", "model=large")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The catalog of an AI product, some usage, and things that are planned."""
    folder: Path = tmp_path_factory.mktemp("system")
    file = folder / "catalog.yaml"
    file.write_text(template_text("ai"))
    with System(folder) as running:
        for words in (
            ("apply", str(file)),
            ("check", "acme", "tokens", "-n", "123456", *WHO, "--increment"),
            ("check", "globex", "images", "--increment", "--idempotency-key", "image-41"),
            ("subscription", "change", "acme", "--plan", "enterprise", "--at", "period-end"),
            ("subscription", "pause", "acme", "--at", "+2h", "--until", "+30d"),
            ("flush",),
        ):
            done = tallyd(*words, environment=places(running))
            assert done.exit_code in (0, 1), done.output
            if words[0] == "apply":
                running.wait_for_revision(1)
        yield running


def places(system: System) -> dict[str, str]:
    return {"TALLYD_SIDECAR": system.sidecar, "TALLYD_CONTROL": system.control}


@pytest.mark.parametrize(
    ("words", "whole"),
    [
        (("usage", "acme"), ["123,456", "7,000,000", "user=alice)"]),
        (("usage", "globex"), ["200,000,000", "unlimited"]),
        (("usage", "acme", "--source", "sidecar"), ["123,456", "7,000,000"]),
        (("usage", "--by", "company,day"), ["123,456"]),
        (("usage", "acme", "--records"), ["123,456", "model=large", "user=alice"]),
        (("usage", "globex", "--records"), ["image-41"]),
        (("entitlements", "acme"), ["context_window", "7,000,000"]),
        (("explain", "acme", "tokens", *WHO), ["5,000,000", "token_pack"]),
        (("check", "acme", "tokens", *WHO), ["7,000,000"]),
        (("subscription", "show", "acme"), ["enterprise", "token_pack"]),
        (
            ("subscription", "add-on", "globex", "token_pack", "5", "--dry-run"),
            ["enterprise", "token_pack"],
        ),
        (
            ("subscription", "change", "globex", "--plan", "pro", "--at", "period-end"),
            ["enterprise", "revision"],
        ),
        (("config", "show", "sidecar", "--set", "standalone=x.yaml"), ["message_bytes_max"]),
        (("status",), ["123,456"]),
        (("status", "--control"), []),
        (("doctor",), []),
        (("reconcile",), ["123,456"]),
    ],
    ids=lambda case: " ".join(case) if isinstance(case, tuple) else "",
)
def test_it_fits_80_columns(
    system: System, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], whole: list[str]
) -> None:
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(COLUMNS))

    settings = {} if words[0] == "config" else places(system)
    result = tallyd(*words, environment=settings)

    assert result.exit_code in (0, 1), result.output
    drawn = [line for line in result.stdout.splitlines() if not line.startswith(("{", "ok ", "}"))]
    assert [line for line in drawn if len(line) > COLUMNS] == []
    said = result.stdout.split()
    assert [word for word in whole if word not in said] == []
