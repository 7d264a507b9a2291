"""The README is right: its commands work as printed, from top to bottom, in a new checkout.

The shells that they are typed into have an empty home and no environment but a path, and ports are
free, as in a new container. `make venv` finds an environment made from this one's packages; the
long test makes one from nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Final

import pytest

from sidecar import __version__
from sidecar.cli import main
from tests.support import own_network
from tests.support.bounds import RUN_SECONDS_MAX
from tests.support.page import Block, blocks
from tests.support.processes import ROOT

README: Final = (ROOT / "README.md").read_text(encoding="utf-8")
BASH: Final = shutil.which("bash", path=os.defpath)
FROM_NOTHING: Final = f"make PYTHON={sys.executable} venv; . .venv/bin/activate; tallyd --version"
TALLYD: Final = "#!{python}\nfrom sidecar.cli.entry import main\nmain()\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the files that belong to the project, in a short path, as sockets need."""
    folder = tmp_path / "c"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip("this is no checkout that git could list")
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def make_environment(folder: Path) -> None:
    """Make .venv as `make venv` does, from the packages that this one has."""
    made = folder / ".venv"
    venv.create(made)
    (packages,) = (made / "lib").glob("python*/site-packages")
    (packages / "tallyd.pth").write_text(f"{folder}\n{sysconfig.get_path('purelib')}\n")
    command = made / "bin" / "tallyd"
    command.write_text(TALLYD.format(python=made / "bin" / "python"))
    command.chmod(0o755)
    for stamp in (".stamp-run", ".stamp-dev"):
        (made / stamp).touch()
    if (ROOT / "build" / "tools").is_dir():
        (folder / "build").mkdir(exist_ok=True)
        (folder / "build" / "tools").symlink_to(ROOT / "build" / "tools")


@pytest.mark.skipif(BASH is None, reason="bash is not in the usual places")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives a network of its own")
def test_every_command_of_the_readme_works_as_printed(checkout: Path) -> None:
    make_environment(checkout)
    script = Path(own_network.__file__)
    reader = [sys.executable, "-m", "tests.support.page_reader", str(checkout), "README.md"]
    done = subprocess.run(
        [sys.executable, str(script), *reader],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS_MAX,
        check=False,
    )
    if done.returncode == own_network.REFUSED:
        pytest.skip("the kernel gives no network of its own, and the page's ports may be taken")
    print(done.stdout)
    assert (0, "") == (done.returncode, done.stderr), done.stdout
    assert len(commands()) == len(done.stdout.splitlines())


def commands() -> list[str]:
    return [command.text for block in blocks(README) for command in block.commands]


def test_the_readme_begins_with_the_environment() -> None:
    assert ["make venv", ". .venv/bin/activate"] == commands()[:2]


def test_one_pair_of_daemons_serves_the_whole_page() -> None:
    apart: list[Block] = [block for block in blocks(README) if block.apart]

    assert ["control", "sidecar"] == [block.commands[-1].words[1] for block in apart]
    started = [
        text
        for text in commands()
        if text.split()[:2] in (["tallyd", "control"], ["tallyd", "sidecar"])
    ]
    assert 2 == len(started)


@pytest.mark.parametrize("name", sorted({*main.COMMANDS} - {"demo"}))
def test_the_readme_has_every_command(name: str) -> None:
    assert f"`tallyd {name}`" in README


@pytest.mark.slow
def test_an_environment_is_made_from_nothing(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    where_packages_are = {k: v for k, v in os.environ.items() if k.startswith("PIP_")}
    done = subprocess.run(
        ["bash", "-e", "-c", FROM_NOTHING],
        cwd=checkout,
        env={"HOME": str(tmp_path / "home"), "PATH": os.defpath, **where_packages_are},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS_MAX,
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == [f"tallyd {__version__}"], done.stderr
