"""Settings that exclude each other, and defaults that depend on where the process runs."""

import pytest

from sidecar.shared.config import (
    ConfigError,
    SetAside,
    SettingSource,
    SettingSourceKind,
    load_control_config,
    load_sidecar_config,
)

PLANE = {"control": "plane:7721"}


FLAG_KIND, ENVIRONMENT, FILE_KIND = (
    SettingSource(SettingSourceKind.FLAG, "--standalone"),
    SettingSource(SettingSourceKind.ENVIRONMENT, "TALLYD_CONTROL"),
    SettingSource(SettingSourceKind.FILE, "f.toml"),
)


@pytest.mark.parametrize(
    ("flags", "environ", "file", "authority", "gave_way"),
    [
        pytest.param(
            {"standalone": "c.yaml"},
            {"TALLYD_CONTROL": "plane:1"},
            "",
            ("", "c.yaml"),
            SetAside("control", ENVIRONMENT, FLAG_KIND),
            id="flag-over-environment",
        ),
        pytest.param(
            {"standalone": "c.yaml"},
            {},
            "[sidecar]\ncontrol = 'plane:1'",
            ("", "c.yaml"),
            SetAside("control", FILE_KIND, FLAG_KIND),
            id="flag-over-file",
        ),
        pytest.param(
            {},
            {"TALLYD_CONTROL": "plane:1"},
            "[sidecar]\nstandalone = 'c.yaml'",
            ("plane:1", ""),
            SetAside("standalone", FILE_KIND, ENVIRONMENT),
            id="environment-over-file",
        ),
    ],
)
def test_of_two_authorities_the_higher_source_counts_and_the_other_is_told(
    flags: dict[str, object],
    environ: dict[str, str],
    file: str,
    authority: tuple[str, str],
    gave_way: SetAside,
) -> None:
    loaded = load_sidecar_config({"config": "f.toml", **flags}, environ, lambda _: file)

    assert (loaded.config.control, loaded.config.standalone) == authority
    assert loaded.set_aside == (gave_way,)
    assert loaded.sources[gave_way.field].kind is SettingSourceKind.DEFAULT


def test_an_authority_that_is_set_to_nothing_gives_way_silently() -> None:
    loaded = load_sidecar_config({**PLANE}, {"TALLYD_STANDALONE": ""})

    assert (loaded.config.control, loaded.set_aside) == ("plane:7721", ())


@pytest.mark.parametrize(
    ("flags", "environ", "file", "source"),
    [
        pytest.param(
            {},
            {"TALLYD_CONTROL": "plane:1", "TALLYD_STANDALONE": "c.yaml"},
            "",
            "TALLYD_CONTROL and TALLYD_STANDALONE",
            id="environment",
        ),
        pytest.param(
            {},
            {},
            "[sidecar]\ncontrol = 'plane:1'\nstandalone = 'c.yaml'",
            "f.toml",
            id="file",
        ),
    ],
)
def test_one_source_with_two_authorities_is_refused(
    flags: dict[str, object], environ: dict[str, str], file: str, source: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_sidecar_config({"config": "f.toml", **flags}, environ, lambda _: file)

    assert str(caught.value) == f"{source}: set only one of control and standalone"


@pytest.mark.parametrize(("kubernetes", "host"), [(False, "127.0.0.1"), (True, "0.0.0.0")])
def test_probes_are_on_loopback_by_default_outside_kubernetes(
    monkeypatch: pytest.MonkeyPatch, kubernetes: bool, host: str
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    if kubernetes:
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")

    assert load_sidecar_config(PLANE, {}).config.http_listen == f"{host}:7712"
    assert load_control_config({}, {}).config.http_listen == f"{host}:7722"
