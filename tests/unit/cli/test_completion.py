"""What a shell is offered to complete a command."""

from __future__ import annotations

import grpc
import pytest
from click.testing import CliRunner

from sidecar.api.control.v1 import control_pb2
from sidecar.cli.main import main
from tests.unit.cli.fakes import Failure, FakeServer

NAMES = {
    control_pb2.NAME_KIND_COMPANY: ["acme", "acorn"],
    control_pb2.NAME_KIND_FEATURE: ["tokens"],
    control_pb2.NAME_KIND_PLAN: ["pro"],
    control_pb2.NAME_KIND_ADD_ON: ["token_pack"],
}


def offered(words: str, **environment: str) -> list[str]:
    """What is offered for the last of the words, as bash asks for it."""
    asked = {
        "_TALLYD_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
        **environment,
    }
    result = CliRunner(env=asked).invoke(main, prog_name="tallyd")
    assert "" == result.stderr
    return [line.partition(",")[2] for line in result.stdout.splitlines() if line]


@pytest.fixture
def plane(fake: FakeServer) -> FakeServer:
    def answer(request: control_pb2.ListNamesRequest) -> control_pb2.ListNamesResponse:
        found = [name for name in NAMES[request.kind] if name.startswith(request.beginning)]
        return control_pb2.ListNamesResponse(names=found)

    fake.answers["ListNames"] = answer
    return fake


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("tallyd check ac", ["acme", "acorn"]),
        ("tallyd check acm", ["acme"]),
        ("tallyd check acme ", ["tokens"]),
        ("tallyd usage ac", ["acme", "acorn"]),
        ("tallyd usage acme --feature ", ["tokens"]),
        ("tallyd explain acme t", ["tokens"]),
        ("tallyd entitlements acme ", ["tokens"]),
        ("tallyd watch acme --feature t", ["tokens"]),
        ("tallyd subscription show ac", ["acme", "acorn"]),
        ("tallyd subscription change acme --plan ", ["pro"]),
        ("tallyd subscription add-on acme ", ["token_pack"]),
    ],
)
def test_names_that_the_plane_knows_are_offered(
    plane: FakeServer, words: str, expected: list[str]
) -> None:
    assert expected == offered(words, TALLYD_CONTROL=plane.address)


def test_the_plane_that_the_command_names_is_asked(plane: FakeServer) -> None:
    words = f"tallyd subscription show --control {plane.address} ac"

    assert ["acme", "acorn"] == offered(words, TALLYD_CONTROL="unix:/nowhere")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("tallyd ch", ["check"]),
        ("tallyd subscription dr", ["drop-planned"]),
        ("tallyd check --incr", ["--increment"]),
        ("tallyd init --template ", ["saas", "api", "ai"]),
    ],
)
def test_commands_options_and_choices_are_offered(words: str, expected: list[str]) -> None:
    assert expected == offered(words)


def test_nothing_is_said_where_the_plane_is_away_or_refuses(fake: FakeServer) -> None:
    fake.answers["ListNames"] = Failure(grpc.StatusCode.INTERNAL, "broken")

    assert [] == offered("tallyd check ac", TALLYD_CONTROL=fake.address)
    assert [] == offered("tallyd check ac", TALLYD_CONTROL="unix:/nowhere")
    assert [] == offered("tallyd check ac", TALLYD_CONTROL="no address")


def test_a_plane_that_hangs_is_not_waited_for_long(fake: FakeServer) -> None:
    fake.answers["ListNames"] = fake.hang

    assert [] == offered("tallyd check ac", TALLYD_CONTROL=fake.address)
