"""What docs/orders.md says of each venue is what the code does."""

from __future__ import annotations

from pathlib import Path

from workers.engine.execution.order_table import rows
from workers.engine.market.venues import VENUES

DOCS = Path(__file__).parents[2] / "docs"


def test_the_documented_table_is_the_codes() -> None:
    lines = (DOCS / "orders.md").read_text().splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("| type |"))
    table = [tuple(cell.strip(" `") for cell in line.strip("|").split("|")) for line in lines[start:]]
    end = next(n for n, row in enumerate(table) if len(row) < 2)
    venues = list(VENUES.values())
    assert table[0] == ("type", *(venue.title for venue in venues))
    assert table[2:end] == rows(venues)
