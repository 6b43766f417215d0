"""``gekko routes``: routing decisions, made again from what was kept with them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
import django


@click.group("routes")
def routes() -> None:
    """Where slices of parent orders went."""


@routes.command("check")
@click.option(
    "--journal",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Read the decisions of this journal folder instead of the records.",
)
@click.option("--parent", default="", help="Only the decisions of this parent order.")
def check(journal: Path | None, parent: str) -> None:
    """Make every stored routing decision again and name what differs; exits with 1 when anything does."""
    if journal is not None:
        command = [sys.executable, "-m", "workers.live.route_check", str(journal), *([parent] if parent else [])]
        os.execv(sys.executable, command)  # noqa: S606 - our own module
    django.setup()
    from apps.trading.selectors_routes import check_routes

    looked, differs = check_routes(parent)
    for said in differs:
        click.echo(said)
    click.echo(
        f"FAILED: {len(differs)} of {looked} decisions differ"
        if differs
        else f"ok: {looked} decisions made again, all as they were"
    )
    sys.exit(1 if differs else 0)
