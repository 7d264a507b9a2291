from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from sidecar.shared.config import (
    ConfigError,
    ControlConfig,
    SettingSource,
    SettingSourceKind,
    SidecarConfig,
    fields,
    load_control_config,
    load_sidecar_config,
)

PLANE = {"control": "plane:7721"}

LINGER: Final = "must be a whole number from 0 to 60000 (or with a unit, such as 2s)"


def text(content: str) -> Callable[[str], str]:
    return lambda _path: content


def problems(
    flags: Mapping[str, object],
    environ: Mapping[str, str],
    file: str = "",
    load: Callable[..., Any] = load_sidecar_config,
) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(flags, environ, text(file))
    assert str(caught.value).splitlines() == [str(problem) for problem in caught.value.problems]
    return [str(problem) for problem in caught.value.problems]


def test_defaults_need_only_the_plane() -> None:
    loaded = load_sidecar_config(PLANE, {})

    assert loaded.config == SidecarConfig(control="plane:7721")
    assert loaded.sources["store_path"] == SettingSource(SettingSourceKind.DEFAULT, "default")
    assert set(loaded.sources) == {field.name for field in fields(SidecarConfig)}


def test_defaults_of_the_control_plane_need_nothing() -> None:
    assert load_control_config({}, {}).config == ControlConfig()


FLAG = {"push_linger_ms": 3}
ENVIRON = {"TALLYD_PUSH_LINGER_MS": "2"}
FILE = "[sidecar]\npush_linger_ms = 1\n"


@pytest.mark.parametrize(
    ("flags", "environ", "file", "value", "source"),
    [
        pytest.param(
            {}, {}, "", 50, SettingSource(SettingSourceKind.DEFAULT, "default"), id="default"
        ),
        pytest.param({}, {}, FILE, 1, SettingSource(SettingSourceKind.FILE, "f.toml"), id="file"),
        pytest.param(
            {},
            ENVIRON,
            FILE,
            2,
            SettingSource(SettingSourceKind.ENVIRONMENT, "TALLYD_PUSH_LINGER_MS"),
            id="environment-over-file",
        ),
        pytest.param(
            FLAG,
            ENVIRON,
            FILE,
            3,
            SettingSource(SettingSourceKind.FLAG, "--push-linger-ms"),
            id="flag-over-all",
        ),
        pytest.param(
            {"push_linger_ms": None},
            ENVIRON,
            FILE,
            2,
            SettingSource(SettingSourceKind.ENVIRONMENT, "TALLYD_PUSH_LINGER_MS"),
            id="flag-not-given",
        ),
    ],
)
def test_the_highest_source_wins(
    flags: dict[str, object], environ: dict[str, str], file: str, value: int, source: SettingSource
) -> None:
    loaded = load_sidecar_config({**PLANE, "config": "f.toml", **flags}, environ, text(file))

    assert loaded.config.push_linger_ms == value
    assert loaded.sources["push_linger_ms"] == source


@pytest.mark.parametrize(
    ("flags", "environ", "path"),
    [
        ({"config": "flag.toml"}, {"TALLYD_CONFIG": "variable.toml"}, "flag.toml"),
        ({"config": None}, {"TALLYD_CONFIG": "variable.toml"}, "variable.toml"),
    ],
)
def test_the_file_is_named_by_flag_or_variable(
    flags: dict[str, object], environ: dict[str, str], path: str
) -> None:
    read: list[str] = []

    def reader(name: str) -> str:
        read.append(name)
        return "[sidecar]"

    load_sidecar_config({**PLANE, **flags}, environ, reader)

    assert read == [path]


def test_no_file_is_read_where_none_is_named() -> None:
    def reader(name: str) -> str:
        raise AssertionError(name)

    assert load_sidecar_config(PLANE, {}, reader).config.control == "plane:7721"


@pytest.mark.parametrize(
    ("flags", "environ", "file", "problem"),
    [
        pytest.param(
            {},
            {},
            "[sidecar]\npush_linger_ms = '1'",
            f"f.toml: push_linger_ms: {LINGER}, not '1'",
            id="file-text-for-number",
        ),
        pytest.param(
            {},
            {},
            "[sidecar]\npush_linger_ms = true",
            f"f.toml: push_linger_ms: {LINGER}, not True",
            id="file-boolean-for-number",
        ),
        pytest.param(
            {},
            {},
            "[sidecar]\nlisten = 7711",
            "f.toml: listen: must be text of at most 4096 bytes, not 7711",
            id="file-number-for-text",
        ),
        pytest.param(
            {},
            {},
            "[sidecar]\ndurabilty = 'disk'",
            "f.toml: sidecar.durabilty: unknown; did you mean durability?",
            id="file-unknown-key",
        ),
        pytest.param(
            {},
            {},
            "[sidcar]",
            "f.toml: sidcar: unknown; settings stand under [sidecar] or [control]",
            id="file-unknown-table",
        ),
        pytest.param(
            {},
            {},
            "sidecar = 1",
            "f.toml: sidecar: must be a table: [sidecar]",
            id="file-not-a-table",
        ),
        pytest.param(
            {},
            {"TALLYD_PUSH_RECORDS_MAX": "0"},
            "",
            "TALLYD_PUSH_RECORDS_MAX: push_records_max: "
            "must be a whole number from 1 to 1000, not '0'",
            id="environment-below-bound",
        ),
        pytest.param(
            {},
            {"TALLYD_PUSH_RECORDS_MAX": ""},
            "",
            "TALLYD_PUSH_RECORDS_MAX: push_records_max: "
            "must be a whole number from 1 to 1000, not ''",
            id="environment-empty-number",
        ),
        pytest.param(
            {},
            {"TALLYD_NODE": "\udcff"},
            "",
            "TALLYD_NODE: node: must be text of at most 4096 bytes, not '\\udcff'",
            id="environment-not-utf-8",
        ),
        pytest.param(
            {},
            {"TALLYD_STORE_PAHT": "/x"},
            "",
            "TALLYD_STORE_PAHT: unknown; did you mean TALLYD_STORE_PATH?",
            id="environment-unknown",
        ),
        pytest.param(
            {"durability": "paper"},
            {},
            "",
            '--durability: durability: must be "process" or "disk", not \'paper\'',
            id="flag-no-such-choice",
        ),
        pytest.param(
            {"idempotency_hours": "23"},
            {},
            "",
            "--idempotency-hours: idempotency_hours: "
            "must be a whole number from 24 to 2160 (or with a unit, such as 7d), not '23'",
            id="flag-below-bound",
        ),
        pytest.param(
            {"listen": "7711"},
            {},
            "",
            "--listen: listen: must be HOST:PORT, such as \"127.0.0.1:7711\", not '7711'",
            id="flag-not-an-address",
        ),
        pytest.param(
            {"store_path": ""},
            {},
            "",
            "--store-path: store_path: must be a path, not ''",
            id="flag-empty-path",
        ),
        pytest.param(
            {"node": "n" * 129},
            {},
            "",
            "--node: node: must be at most 128 bytes, is 129",
            id="flag-long-node",
        ),
        pytest.param(
            {"socket_path": "", "listen": ""},
            {},
            "",
            "--listen: listen: empty, as socket_path is: nothing could call the sidecar",
            id="no-way-in",
        ),
        pytest.param(
            {"standalone": "catalog.yaml"},
            {},
            "",
            "--control and --standalone: set only one of control and standalone",
            id="two-authorities",
        ),
    ],
)
def test_a_bad_value_names_source_and_field(
    flags: dict[str, object], environ: dict[str, str], file: str, problem: str
) -> None:
    assert problems({**PLANE, "config": "f.toml", **flags}, environ, file) == [problem]


def test_a_sidecar_without_authority_is_refused() -> None:
    (problem,) = problems({}, {})

    assert problem == (
        "configuration: control: "
        "set the control plane's address with --control, or a catalog with --standalone"
    )


def test_a_control_plane_that_nobody_can_call_is_refused() -> None:
    assert problems({"listen": ""}, {}, load=load_control_config) == [
        "--listen: listen: empty: nothing could call the control plane"
    ]


def test_every_problem_is_reported_at_once() -> None:
    found = problems(
        {"config": "f.toml", "control": "plane"},
        {"TALLYD_LOG_LEVEL": "loud"},
        "[sidecar]\nfetch_timeout_ms = 0",
    )

    assert [line.split(":")[0] for line in found] == ["f.toml", "TALLYD_LOG_LEVEL", "--control"]


def test_a_mistake_is_reported_even_where_it_is_overridden() -> None:
    found = problems({**PLANE, "log_level": "info"}, {"TALLYD_LOG_LEVEL": "loud"})

    assert len(found) == 1
    assert found[0].startswith("TALLYD_LOG_LEVEL: log_level: must be ")


def test_a_long_bad_value_is_cut() -> None:
    (problem,) = problems({**PLANE, "durability": "x" * 10_000}, {})

    assert len(problem) < 200


def test_variables_for_others_are_left_alone() -> None:
    environ = {
        "TALLYD_CONFIG": "f.toml",
        "TALLYD_SIDECAR": "unix:/run/x.sock",
        "TALLYD_DATABASE_PATH": "/x.db",
        "TALLYD_CONTROL_SERVICE_HOST": "10.0.0.1",
        "TALLYD_CONTROL_SERVICE_PORT_GRPC": "7721",
        "TALLYD_CONTROL_PORT": "tcp://10.0.0.1:7721",
        "TALLYD_CONTROL_PORT_7721_TCP_ADDR": "10.0.0.1",
        "PATH": "/bin",
    }

    assert load_sidecar_config(PLANE, environ, text("[control]")).config.control == "plane:7721"


def test_a_variable_that_only_looks_like_a_service_link_is_unknown() -> None:
    assert problems(PLANE, {"TALLYD_LISTEN_PORT": "1"})[0].startswith("TALLYD_LISTEN_PORT: unknown")


def test_one_file_holds_both_daemons() -> None:
    both = text("[sidecar]\ncontrol = 'plane:1'\n[control]\nlisten = '127.0.0.1:2'\n")

    assert load_sidecar_config({"config": "f"}, {}, both).config.control == "plane:1"
    assert load_control_config({"config": "f"}, {}, both).config.listen == "127.0.0.1:2"


def test_an_undeclared_flag_is_a_programming_error() -> None:
    with pytest.raises(TypeError, match="no field is called 'speed'"):
        load_sidecar_config({**PLANE, "speed": 1}, {})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(None, "cannot be read: No such file or directory", id="missing"),
        pytest.param(b"[sidecar", "is not TOML: ", id="syntax"),
        pytest.param(b"\xff", "is not TOML: 'utf-8' codec can't decode", id="not-utf-8"),
        pytest.param(
            b"#" * (1024 * 1024 + 1), "cannot be read: larger than 1048576", id="too-large"
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "tallyd.toml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        load_sidecar_config({**PLANE, "config": str(path)}, {})

    assert str(caught.value).startswith(f"{path}: {reason}")


def test_a_real_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "tallyd.toml"
    path.write_text('[sidecar]\nnode = "Zürich-1"\n', encoding="utf-8")

    loaded = load_sidecar_config({**PLANE, "config": str(path)}, {})

    assert loaded.config.node == "Zürich-1"
    assert loaded.sources["node"] == SettingSource(SettingSourceKind.FILE, str(path))
