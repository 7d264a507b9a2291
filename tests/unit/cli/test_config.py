"""`tallyd config`, and the settings of the daemons' commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta, Struct

from sidecar.cli import config
from sidecar.cli.common import ExitCode
from sidecar.shared.catalog_file.schema import schema_text
from sidecar.shared.config import (
    ControlConfig,
    Loaded,
    SettingSource,
    SettingSourceKind,
    SidecarConfig,
    fields,
)
from tests.unit.cli.fakes import tallyd


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "tallyd.toml"
    path.write_text('[sidecar]\ncontrol = "plane:7721"\n[control]\nlog_level = "debug"\n')
    return path


def test_show_tells_each_setting_with_its_source(file: Path) -> None:
    result = tallyd(
        *("config", "show", "control", "--config", str(file), "--set", "listen=127.0.0.1:1"),
        environment={"TALLYD_LOG_FORMAT": "console"},
    )

    assert ExitCode.OK == result.exit_code
    rows = [line.split() for line in result.stdout.splitlines()]
    assert ["[control]"] == rows[0]
    assert ["SETTING", "VALUE", "SOURCE", "FROM"] == rows[1]
    assert [field.name for field in fields(ControlConfig)] == [row[0] for row in rows[2:]]
    assert ["listen", "127.0.0.1:1", "flag", "--listen"] in rows
    assert ["log_format", "console", "environment", "TALLYD_LOG_FORMAT"] in rows
    assert ["log_level", "debug", "file", str(file)] in rows
    assert ["http_listen", "127.0.0.1:7722", "default", "-"] in rows


def test_show_with_json_has_both_daemons(file: Path) -> None:
    answer = json.loads(tallyd("config", "show", "--config", str(file), "--json").stdout)

    assert ["sidecar", "control"] == list(answer)
    assert {"value": "plane:7721", "source": "file", "from": str(file)} == answer["sidecar"][
        "control"
    ]
    drain = {"value": 20, "source": "default", "from": "default"}
    assert drain == answer["control"]["drain_seconds_max"]


def test_show_without_any_setting_has_both_daemons_and_says_what_is_needed() -> None:
    result = tallyd("config", "show")

    assert ExitCode.OK == result.exit_code
    titles = [line for line in result.stdout.splitlines() if line.startswith("[")]
    assert ["[sidecar]", "[control]"] == titles
    assert result.stderr.startswith("note: sidecar does not start as it is: ")
    assert "control: set the control plane's address" in result.stderr


def test_show_of_values_that_cannot_be_used_ends_with_the_problems() -> None:
    result = tallyd("config", "show", environment={"TALLYD_IDEMPOTENCY_HOURS": "soon"})

    assert ExitCode.USAGE == result.exit_code
    assert result.stdout.startswith("[control]\n")
    assert "idempotency_hours: must be a whole number" in result.stderr
    assert result.stderr.endswith("cannot be used: 1 problem (INVALID_CONFIG)\n")


def test_secrets_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    class WithSecret(Struct, frozen=True, kw_only=True):
        """A configuration with a secret."""

        api_token: Annotated[str, Meta(description="A secret.")] = ""
        other_token: Annotated[str, Meta(description="Another one, not set.")] = ""

    def load(flags: object, environ: object) -> Loaded[WithSecret]:
        source = SettingSource(SettingSourceKind.FILE, "tallyd.toml")
        sources = {"api_token": source, "other_token": source}
        return Loaded(WithSecret(api_token="hunter2"), sources)

    monkeypatch.setattr(config, "load_control_config", load)

    result = tallyd("config", "show", "control", "--json")

    assert "hunter2" not in result.stdout
    answer = json.loads(result.stdout)["control"]
    assert ("********", "") == (answer["api_token"]["value"], answer["other_token"]["value"])


def test_check_says_that_all_is_good(file: Path) -> None:
    assert "good for sidecar and control\n" == tallyd("config", "check", str(file)).stdout


def test_check_with_json(file: Path) -> None:
    answer = json.loads(tallyd("config", "check", "--for", "control", "--json").stdout)

    assert {"valid": True, "checked": ["control"]} == answer


def test_check_tells_every_problem_once(file: Path) -> None:
    file.write_text('[sidecar]\ncontrol = "plane"\n[control]\nlog_level = "loud"\nlistne = "x"\n')

    result = tallyd("config", "check", str(file))

    assert ExitCode.USAGE == result.exit_code
    lines = result.stderr.splitlines()
    assert 4 == len(lines)
    assert lines[0].startswith(f"{file}: control: must be HOST:PORT")
    assert lines[1].startswith(f"{file}: log_level: must be ")
    assert lines[2] == f"{file}: control.listne: unknown; did you mean listen?"
    assert lines[3].endswith("the configuration cannot be used: 3 problems (INVALID_CONFIG)")


def test_problems_with_json(tmp_path: Path) -> None:
    path = tmp_path / "none.toml"

    result = tallyd("config", "check", str(path), "--for", "control", "--json")

    error = json.loads(result.stderr)["error"]
    problem = {
        "source": str(path),
        "field": "",
        "message": "cannot be read: No such file or directory",
    }
    assert [problem] == error["problems"]


@pytest.mark.parametrize("pair", ["listen", "colour=red"])
def test_what_is_no_setting_is_wrong_usage(pair: str) -> None:
    result = tallyd("config", "show", "control", "--set", pair)

    assert ExitCode.USAGE == result.exit_code
    assert "is not NAME=VALUE with the name of a setting" in result.stderr


def test_schema_prints_the_json_schema() -> None:
    assert json.loads(schema_text()) == json.loads(tallyd("config", "schema").stdout)


@pytest.mark.parametrize(
    ("name", "settings"), [("sidecar", SidecarConfig), ("control", ControlConfig)]
)
def test_every_setting_is_an_option_of_its_daemon(name: str, settings: type[Struct]) -> None:
    shown = tallyd(name, "--help").output

    for field in fields(settings):
        assert f"  {field.flag} " in shown


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (
            ["sidecar"],
            (
                "configuration: control: set the control plane's address with --control, "
                "or a catalog with --standalone"
            ),
        ),
        (
            ["control", "--drain-seconds-max", "soon"],
            (
                "--drain-seconds-max: drain_seconds_max: must be a whole number from 0 to 3600 "
                "(or with a unit, such as 90s), not 'soon'"
            ),
        ),
    ],
)
def test_a_daemon_with_wrong_settings_does_not_start(args: list[str], line: str) -> None:
    result = tallyd(*args)

    assert ExitCode.USAGE == result.exit_code
    assert [line] == result.stderr.splitlines()[:-1]
