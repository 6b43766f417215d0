"""The console script ``gekko``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import django
from rich.console import Console

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "controlplane.settings.dev")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gekko")
def main() -> None:
    """Control plane of an autonomous trading desk."""


@main.command()
@click.option(
    "--credentials-file",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Also write the first operator's credentials to this file (mode 600).",
)
def up(credentials_file: Path | None) -> None:
    """Start everything on this machine and trade on paper; Ctrl-C stops it."""
    from controlplane.supervisor.main import run
    from controlplane.supervisor.screen import Screen

    sys.exit(run(Screen(Console(), credentials_file)))


@main.group()
def operator() -> None:
    """The people who may sign in."""


@operator.command("reset")
@click.argument("username", default="operator")
def operator_reset(username: str) -> None:
    """Give USERNAME a new password and second factor; recorded in the audit trail."""
    django.setup()
    from controlplane.bootstrap import reset_operator
    from controlplane.supervisor.screen import Screen

    Screen(Console()).credentials(reset_operator(username))


@main.group()
def audit() -> None:
    """The audit trail."""


if __name__ == "__main__":
    main()
