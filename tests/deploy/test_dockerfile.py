import re
from fnmatch import fnmatch
from pathlib import Path

from sidecar.shared.config import ControlConfig, SidecarConfig, fields, split_host_port
from tests.deploy.manifests import DOCKERFILE, REPOSITORY, control, sidecar


def instructions() -> list[tuple[str, str]]:
    """Return (instruction, arguments) in order; continued lines are joined, comments dropped."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    split = (line.split(maxsplit=1) for line in joined.splitlines() if line.strip())
    return [(name.upper(), arguments.strip()) for name, arguments in split]


def last_stage() -> list[tuple[str, str]]:
    found = instructions()
    start = max(n for n, (name, _) in enumerate(found) if name == "FROM")
    return found[start:]


def arguments_of(name: str, among: list[tuple[str, str]]) -> list[str]:
    return [arguments for instruction, arguments in among if instruction == name]


def context_copies() -> list[str]:
    """Paths that are copied out of the build context."""
    copies = [a for a in arguments_of("COPY", instructions()) if not a.startswith("--from")]
    return [source for arguments in copies for source in arguments.split()[:-1]]


def test_the_base_image_has_a_version() -> None:
    (image,) = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    stages = arguments_of("FROM", instructions())

    assert re.fullmatch(r"python:3\.\d+-slim-\w+", image)
    assert {stage.split()[0] for stage in stages} == {"${PYTHON_IMAGE}"}
    assert len(stages) == 2
    assert ":latest" not in DOCKERFILE.read_text()


def test_it_runs_as_the_user_of_the_manifests() -> None:
    (user,) = arguments_of("USER", last_stage())
    (made,) = arguments_of("RUN", last_stage())

    assert user == "10001:10001"
    for workload in (sidecar(), control()):
        pod = workload.spec["securityContext"]
        assert f"{pod['runAsUser']}:{pod['runAsGroup']}" == user
    assert "-o 10001 -g 10001" in made


def test_everything_from_a_registry_comes_by_hash_and_as_a_wheel() -> None:
    installs = [
        command
        for run in arguments_of("RUN", instructions())
        for command in run.split("&&")
        if re.search(r"\bpip\b.*\binstall\b", command)
    ]
    from_locks = [command for command in installs if " -r " in command]

    assert len(from_locks) == 2
    for command in from_locks:
        assert "--require-hashes" in command
        assert "--only-binary=:all:" in command
    assert [command for command in installs if command not in from_locks] == [
        " python -m pip --python /opt/tallyd/bin/python install --no-deps --no-index /wheels/*.whl"
    ]


def test_it_names_no_package_index() -> None:
    assert re.findall(r"index-url|find-links|trusted-host|https?://", DOCKERFILE.read_text()) == []


def test_requirement_files_exist_and_hold_hashes() -> None:
    files = re.findall(r"-r (\S+)", DOCKERFILE.read_text())

    assert files == ["deploy/requirements/build.txt", "deploy/requirements/control.txt"]
    for file in files:
        assert "--hash=sha256:" in (REPOSITORY / file).read_text()


def test_everything_that_is_copied_exists_and_passes_the_ignore_file() -> None:
    ignored = Path(f"{DOCKERFILE}.dockerignore").read_text().splitlines()
    allowed = [line[1:] for line in ignored if line.startswith("!")]
    sources = context_copies()

    assert ignored[1] == "*"
    assert sorted(sources) == sorted(allowed)
    assert [source for source in sources if not (REPOSITORY / source).exists()] == []
    assert any(fnmatch("sidecar/domain/__pycache__", line) for line in ignored)


def test_variables_are_settings_or_pythons_own() -> None:
    variables = re.findall(r"([A-Z][A-Z0-9_]*)=", " ".join(arguments_of("ENV", instructions())))
    settings = {f.variable for config in (SidecarConfig, ControlConfig) for f in fields(config)}

    assert "PATH" in variables
    ours = {variable for variable in variables if variable.startswith("TALLYD_")}
    assert ours <= settings
    assert [v for v in variables if not re.match(r"TALLYD_|PATH$|PYTHON|PIP_", v)] == []


def test_the_default_ports_are_exposed() -> None:
    (exposed,) = arguments_of("EXPOSE", last_stage())
    addresses = [
        SidecarConfig().listen,
        SidecarConfig().http_listen,
        ControlConfig().listen,
        ControlConfig().http_listen,
    ]

    assert [int(port) for port in exposed.split()] == [split_host_port(a)[1] for a in addresses]


def test_default_paths_are_on_volumes() -> None:
    (volumes,) = arguments_of("VOLUME", last_stage())
    paths = [SidecarConfig().store_path, SidecarConfig().socket_path, ControlConfig().database_path]

    assert volumes == '["/var/lib/tallyd", "/run/tallyd"]'
    assert [p for p in paths if not p.startswith(("/var/lib/tallyd/", "/run/tallyd/"))] == []


def test_it_starts_and_stops_as_orchestrators_expect() -> None:
    stage = last_stage()

    assert arguments_of("ENTRYPOINT", stage) == ['["tallyd"]']
    assert arguments_of("STOPSIGNAL", stage) == ["SIGTERM"]
    assert arguments_of("HEALTHCHECK", stage) == ["NONE"]
