"""``python -m workers.live.route_check FOLDER [PARENT]``: makes the routing decisions of a journal again."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from workers.adapters.journal import JournalError, read
from workers.engine.execution.routing.check import check


def main(words: list[str]) -> int:
    """Exit status: 0 when all decisions replay, 1 when some differ or the journal cannot be read."""
    folder, parent = Path(words[0]), words[1] if len(words) > 1 else ""
    try:
        events = (record.event for record in read(folder))
        looked, differs = check(event for event in events if not parent or getattr(event, "parent_id", "") == parent)
    except JournalError as error:
        click.echo(f"{folder}: {error}")
        return 1
    for said in differs:
        click.echo(said)
    if differs:
        click.echo(f"FAILED: {len(differs)} of {looked} decisions differ")
        return 1
    click.echo(f"ok: {looked} decisions made again, all as they were")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
