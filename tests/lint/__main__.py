"""Checks the repository's files: `python -m tests.lint`, status 1 if anything is wrong."""

import sys
from pathlib import Path

from tests.lint import hygiene, names, sizes

root = Path(__file__).resolve().parents[2]
files = hygiene.repository_files(root)
offences = [*hygiene.check(root), *names.check(root, files), *sizes.check(root, files)]
for offence in offences:
    print(offence)
sys.exit(1 if offences else 0)
