"""What `tallyd grant` says of mistakes, in the words of the command."""

from __future__ import annotations

import grpc
import pytest

from sidecar.cli.common import ExitCode
from tests.unit.cli.fakes import Failure, FakeServer, tallyd
from tests.unit.cli.test_grants import plane

__all__ = ["plane"]


def test_an_amount_below_nothing_is_no_option(fake: FakeServer) -> None:
    result = tallyd("grant", "acme", "tokens", "-100", "--control", fake.address)
    assert ExitCode.USAGE == result.exit_code
    assert "-100 is no amount such as +100, 5000 or unlimited" in result.stderr
    assert "No such option" not in result.stderr
    assert [] == fake.requests


def test_only_one_thing_is_meant_and_an_overdraft_is_a_number(plane: FakeServer) -> None:
    line = ("grant", "acme", "money", "unlimited", "--overdraft", "--control", plane.address)
    result = tallyd(*line)
    assert ExitCode.USAGE == result.exit_code
    assert "an overdraft is changed by a number, such as +10" in result.stderr
    result = tallyd(*line, "--limit", "monthly")
    assert ExitCode.USAGE == result.exit_code
    assert "--limit, --rate and --overdraft exclude each other" in result.stderr


@pytest.mark.parametrize("name", ["limit", "rate"])
def test_what_the_plane_says_of_a_limit_is_told_of_the_option(plane: FakeServer, name: str) -> None:
    field = f"entitlement.{name}_changes[0]"
    message = f"there is no {name} 'montly' of 'tokens' to change; did you mean 'monthly'?"
    plane.answers["GrantOverride"] = Failure(
        grpc.StatusCode.INVALID_ARGUMENT, f"{field}: {message}", "INVALID_ARGUMENT", field
    )
    line = ("grant", "acme", "tokens", "+5", f"--{name}", "montly")
    result = tallyd(*line, "--control", plane.address)
    assert ExitCode.USAGE == result.exit_code
    assert message in result.stderr
    assert "_changes" not in result.stderr


@pytest.mark.parametrize(("word", "enabled"), [("yes", True), ("no", False), ("On", True)])
def test_a_switch_is_said_in_any_usual_word(plane: FakeServer, word: str, enabled: bool) -> None:
    result = tallyd("grant", "acme", "sso", word, "--control", plane.address)
    assert ExitCode.OK == result.exit_code
    assert enabled == plane.requests[-1].entitlement.enabled
