"""Rules for every text file of the repository: what must never be committed."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

FILE_BYTES_MAX = 1024 * 1024
# Where there is no git to say what is ignored: environments, builds and caches.
_SKIPPED = re.compile(r"\.git|\.venv|build|dist|\.hypothesis|.*_cache|__pycache__")

_SECRETS = (
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    r"\bAKIA[0-9A-Z]{16}\b",  # AWS
    r"\bAIza[0-9A-Za-z_-]{35}",  # Google
    r"\bgh[pousr]_[A-Za-z0-9]{36}",  # GitHub
    r"\bpypi-[A-Za-z0-9_-]{50}",
    r"\b[sr]k_live_[A-Za-z0-9]{16}",  # Stripe
    r"\bxox[abprs]-[A-Za-z0-9-]{10}",  # Slack
)
_PACKAGE_SOURCES = (
    r"--(extra-)?index-url\b",
    r"--(default-index|find-links|trusted-host)\b",
    r"\bpypi\.org/simple",
    r"\bfiles\.pythonhosted\.org",
)
_HOMES = (
    r"(?<![\w.~/-])/(home|Users)/[\w.-]+/",
    r"(?<![\w.~/-])/root/\w",
    r"\b[A-Z]:\\Users\\",
)
_LINK_UP = re.compile(r"(?<![\w/.])(?:\.\./)+[\w.-]*")

Rules = Mapping[str, re.Pattern[str]]


def rules_for(root: Path) -> Rules:
    """Return the forbidden patterns by name; where this checkout lives is one of them."""
    patterns = {
        "secret": _SECRETS,
        "package index address": _PACKAGE_SOURCES,
        "home directory": _HOMES,
    }
    if len(root.parts) > 2:  # a checkout in /app, say, has a path that means nothing
        here = (root, root.parent / "shared")
        patterns["path of this machine"] = tuple(rf"{re.escape(str(path))}\b" for path in here)
    return {name: re.compile("|".join(any_of)) for name, any_of in patterns.items()}


def violations(path: Path, text: str, root: Path, rules: Rules) -> Iterator[str]:
    """Yield one line for each offence in `text`, the content of `path` (relative to `root`)."""
    for number, line in enumerate(text.splitlines(), start=1):
        for name, pattern in rules.items():
            if found := pattern.search(line):
                yield f"{path}:{number}: {name}: {found.group()}"
        if path.suffix == ".md":
            for link in _links_outside(path, line, root):
                yield f"{path}:{number}: refers outside the repository: {link}"


def _links_outside(path: Path, line: str, root: Path) -> Iterator[str]:
    """Yield relative references of a document that a reader of the repository cannot follow."""
    for link in _LINK_UP.findall(line):
        target = Path(os.path.normpath(root / path.parent / link))
        if not target.is_relative_to(root):
            yield link


def repository_files(root: Path) -> list[Path]:
    """List the files relative to `root`: what git would commit, or all of them without git."""
    names: Iterable[Path] | None = _committed(root)
    if names is None:
        names = (path.relative_to(root) for path in root.rglob("*"))
    return sorted(
        name
        for name in names
        if not any(map(_SKIPPED.fullmatch, name.parts)) and (root / name).is_file()
    )


def _committed(root: Path) -> set[Path] | None:
    """Name, relative to `root`, all that git would commit, links too; `None` without git."""
    git = shutil.which("git")
    if git is None or not (root / ".git").exists():
        return None
    command = [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return {Path(name) for name in listing.stdout.split("\0") if name}


def _absolute_target(path: Path) -> str | None:
    """Where a symbolic link leads on this machine alone; `None` for all else."""
    if not path.is_symlink():
        return None
    target = os.readlink(path)
    return target if os.path.isabs(target) else None


def check(root: Path) -> list[str]:
    """Return every offence in the repository at `root`."""
    rules = rules_for(root)
    offences = [
        f"{name}: a link to {target}"
        for name in sorted(_committed(root) or ())
        if (target := _absolute_target(root / name)) is not None
    ]
    for path in repository_files(root):
        data = (root / path).read_bytes()
        if len(data) > FILE_BYTES_MAX:
            offences.append(f"{path}: {len(data)} bytes, the most is {FILE_BYTES_MAX}")
        try:
            text = data.decode()
        except UnicodeDecodeError:
            continue  # binary, such as a compiled descriptor
        offences.extend(violations(path, text, root, rules))
    return offences
