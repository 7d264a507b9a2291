"""`tallyd init`: writes a commented catalog to start from."""

from __future__ import annotations

import importlib.resources
import os
from pathlib import Path
from typing import Final

import click

from sidecar.cli import output
from sidecar.cli.common import CliError, ExitCode, examples, json_option

TEMPLATES: Final = ("saas", "api", "ai")
FILE: Final = "catalog.yaml"


@click.command(
    epilog=examples("tallyd init", "tallyd init shop --template api"),
)
@click.argument("folder", default=".", metavar="[DIR]")
@click.option(
    "--template",
    type=click.Choice(TEMPLATES),
    default="saas",
    show_default=True,
    help="What you sell: a SaaS product, an API, an AI product.",
)
@json_option
def command(folder: str, template: str, as_json: bool) -> None:
    """Write a commented catalog to start from: catalog.yaml in DIR, or here.

    A catalog that is there already is left alone, and the command refused.
    """
    file = Path(folder) / FILE
    text = template_text(template)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError:
        raise CliError(
            f"{file} exists",
            exit_code=ExitCode.USAGE,
            reason="EXISTS",
            hint="Name another folder: tallyd init DIR",
        ) from None
    if as_json:
        output.print_json({"file": os.fspath(file), "template": template})
        return
    output.print_line(f"wrote {file}, a catalog to start from")
    output.print_line()
    output.print_line("next, with a control plane (tallyd control):")
    output.print_line(f"  tallyd apply {file} --check   # is it right?")
    output.print_line(f"  tallyd apply {file}           # sell it")


def template_text(template: str) -> str:
    """Return one of TEMPLATES."""
    files = importlib.resources.files("sidecar.cli.starters")
    return files.joinpath(f"{template}.yaml").read_text(encoding="utf-8")
