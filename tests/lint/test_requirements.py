"""The pinned requirement files agree with what the project says it needs."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ROOT / "deploy" / "requirements"
SETS = ("build", "base", "control", "dev")
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)(?: ; (.+?))? \\$")


def project() -> dict[str, Any]:
    """Return pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def wanted(name: str) -> set[str]:
    """Return the requirements of deploy/requirements/`name`.in itself, as normalised text."""
    lines = (LOCKS / f"{name}.in").read_text().splitlines()
    return {str(Requirement(line)) for line in lines if line and line[0] not in "#-"}


def pins(name: str) -> dict[str, str]:
    """Return package and version of every line in a lock."""
    lines = (LOCKS / f"{name}.txt").read_text().splitlines()
    return {match[1]: match[2] for line in lines if (match := PIN.match(line))}


def test_base_set_is_the_project_dependencies() -> None:
    declared = {str(Requirement(line)) for line in project()["project"]["dependencies"]}

    assert declared == wanted("base")


def test_control_set_is_the_control_extra() -> None:
    declared = project()["project"]["optional-dependencies"]["control"]

    assert {str(Requirement(line)) for line in declared} == wanted("control")


def test_build_set_is_the_build_backend() -> None:
    declared = project()["build-system"]["requires"]

    assert {str(Requirement(line)) for line in declared} == wanted("build")


@pytest.mark.parametrize("name", SETS)
def test_lock_pins_every_wanted_package_within_its_bounds(name: str) -> None:
    locked = pins(name)

    for requirement in map(Requirement, sorted(wanted(name))):
        assert requirement.specifier.contains(locked[requirement.name.lower()])


@pytest.mark.parametrize("name", SETS)
def test_lock_holds_only_pins_with_hashes(name: str) -> None:
    lines = (LOCKS / f"{name}.txt").read_text().splitlines()
    text = [line for line in lines if not line.lstrip().startswith("#")]

    strange = [
        line
        for line in text
        if not PIN.match(line) and not re.fullmatch(r" {4}--hash=sha256:[0-9a-f]{64}( \\)?", line)
    ]

    assert strange == []


@pytest.mark.parametrize(("inner", "outer"), [("base", "control"), ("control", "dev")])
def test_outer_lock_holds_the_same_versions_as_the_inner_one(inner: str, outer: str) -> None:
    assert pins(inner).items() <= pins(outer).items()


def test_oldest_grpcio_is_the_one_that_generated_the_code() -> None:
    stub = (ROOT / "sidecar/api/enforcement/v1/enforcement_pb2_grpc.py").read_text()
    generator = re.search(r"GRPC_GENERATED_VERSION = '([\d.]+)'", stub)

    assert generator is not None
    assert f"grpcio>={generator[1]}" in project()["project"]["dependencies"]


def test_oldest_protobuf_is_the_one_that_generated_the_code() -> None:
    module = (ROOT / "sidecar/api/enforcement/v1/enforcement_pb2.py").read_text()
    generator = re.search(r"Protobuf Python Version: ([\d.]+)", module)

    assert generator is not None
    assert f"protobuf>={generator[1]}" in project()["project"]["dependencies"]
