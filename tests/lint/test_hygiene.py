import subprocess
from pathlib import Path

import pytest

from tests.lint.hygiene import FILE_BYTES_MAX, check, repository_files, rules_for, violations

ROOT = Path("/srv/checkouts/tallyd")


def found(text: str, path: str = "file.py") -> list[str]:
    """Return the names of the rules that `text` breaks."""
    offences = violations(Path(path), text, ROOT, rules_for(ROOT))
    return [offence.split(": ")[1] for offence in offences]


# The samples are put together here, so that this file itself passes the check.
@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("secret", "-----BEGIN RSA " + "PRIVATE KEY-----"),
        ("secret", "key = AKIA" + "A" * 16),
        ("secret", "token: ghp_" + "a1" * 18),
        ("secret", "sk_live" + "_" + "0" * 24),
        ("package index address", "--extra" + "-index-url https://packages.example"),
        ("package index address", "pip install --find" + "-links wheels"),
        ("package index address", "https://pypi" + ".org/simple"),
        ("home directory", "cd /home" + "/ada/tallyd"),
        ("home directory", "/root" + "/cache"),
        ("path of this machine", f"open('{ROOT}/build')"),
        ("path of this machine", f"{ROOT.parent}/shared/cases"),
    ],
)
def test_offence_is_named(rule: str, text: str) -> None:
    assert found(text) == [rule]


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN PUBLIC KEY-----",
        "https://pypi.org/project/tallyd",
        "grpcio==1.85.1 --hash=sha256:0aa1",
        "/var/lib/tallyd/store",
        "https://example.com/home/page/",
        "the index-url of a page",
    ],
)
def test_harmless_text_passes(text: str) -> None:
    assert found(text) == []


def test_offence_says_where() -> None:
    text = "first\n" + "-----BEGIN " + "PRIVATE KEY-----"

    offences = list(violations(Path("a/b.pem"), text, ROOT, rules_for(ROOT)))

    assert offences == ["a/b.pem:2: secret: -----BEGIN " + "PRIVATE KEY-----"]


@pytest.mark.parametrize(
    ("path", "link", "expected"),
    [
        ("README.md", "../elsewhere", ["refers outside the repository"]),
        ("deploy/README.md", "../../elsewhere", ["refers outside the repository"]),
        ("deploy/README.md", "../LICENSE", []),
        ("Makefile", "../elsewhere", []),
    ],
)
def test_document_may_only_refer_inside_the_repository(
    path: str, link: str, expected: list[str]
) -> None:
    assert found(f"see {link} for more", path) == expected


def test_checkout_with_a_one_part_path_has_no_rule_for_it() -> None:
    root = Path("/app")

    assert list(violations(Path("x"), "WORKDIR /app", root, rules_for(root))) == []


def test_tree_without_git_is_walked_and_large_or_binary_files_are_handled(tmp_path: Path) -> None:
    (tmp_path / "bad.txt").write_text("-----BEGIN " + "PRIVATE KEY-----\n")
    (tmp_path / "binary.binpb").write_bytes(b"\xff\xfe")
    (tmp_path / "large.bin").write_bytes(b"\xff" * (FILE_BYTES_MAX + 1))
    for ignored in ("build", ".venv", ".mypy_cache", "__pycache__"):
        (tmp_path / ignored).mkdir()
        (tmp_path / ignored / "bad.txt").write_text("-----BEGIN " + "PRIVATE KEY-----\n")

    offences = check(tmp_path)

    assert [str(path) for path in repository_files(tmp_path)] == [
        "bad.txt",
        "binary.binpb",
        "large.bin",
    ]
    assert [offence.split(":")[0] for offence in offences] == ["bad.txt", "large.bin"]


def test_a_link_to_a_place_of_this_machine_is_found(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    (tmp_path / ".venv").symlink_to("/opt/environment")
    (tmp_path / "near").symlink_to("file")
    (tmp_path / "file").write_text("text\n")

    assert [".venv: a link to /opt/environment"] == check(tmp_path)
