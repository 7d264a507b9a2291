"""Where the process of a command begins."""

from __future__ import annotations

from sidecar.cli import interrupts

interrupts.end_at_once()  # before anything else is imported


def main() -> None:
    """Run the command line."""
    from sidecar.cli.main import main as command

    command()


if __name__ == "__main__":
    main()
