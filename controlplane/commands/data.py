"""``gekko data``: hands over to the workers' own command, so that the control plane never loads their libraries."""

from __future__ import annotations

import os
import sys

import click

PASSED_ON = {"ignore_unknown_options": True, "allow_extra_args": True}


@click.command("data", add_help_option=False, context_settings=PASSED_ON)
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def data(words: tuple[str, ...]) -> None:
    """Market history: download, import, record, list and check; --help says how."""
    os.execv(sys.executable, [sys.executable, "-m", "workers.live.data_commands", *words])  # noqa: S606 - our own module
