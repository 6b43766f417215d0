"""docs/venues.md shows the flags and rules that execution and the adapters really use."""

from __future__ import annotations

from pathlib import Path

import pytest

from workers.engine.market.venues import (
    BINANCEUS,
    COINBASE,
    COINBASE_EXCHANGE,
    GENERIC,
    OANDA,
    PAPER,
    Feature,
    VenueRules,
)

PAGE = Path(__file__).parents[2] / "docs" / "venues.md"
COLUMNS = (PAPER, BINANCEUS, COINBASE, COINBASE_EXCHANGE, OANDA, GENERIC)


def rows() -> dict[str, list[str]]:
    lines = [line.strip("| ").split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    return {cells[0]: cells[1:] for cells in lines}


def cut(rules: VenueRules) -> str:
    return f"{rules.max_connection_s / 3600:g} h" if rules.max_connection_s else "-"


@pytest.mark.parametrize("feature", Feature)
def test_each_flag_is_shown_as_it_is(feature: Feature) -> None:
    assert rows()[feature.value] == ["yes" if one.supports(feature) else "-" for one in COLUMNS]


def test_each_rule_is_shown_as_it_is() -> None:
    shown = rows()
    assert shown["loss noticed by"] == [one.sequence.value for one in COLUMNS]
    assert shown["checksum"] == [one.checksum.value for one in COLUMNS]
    fields = [one.client_id.field for one in COLUMNS]
    assert shown["client id"] == [f"`{field}`" if field else "guarded" for field in fields]
    assert shown["its length"] == [str(one.client_id.max_length) for one in COLUMNS]
    assert shown["requests"] == [f"{one.rate.limit} / {one.rate.window_s:g} s" for one in COLUMNS]
    assert shown["heartbeat"] == [f"{one.heartbeat_s:g} s" if one.heartbeat_s else "-" for one in COLUMNS]
    assert shown["connection cut after"] == [cut(one) for one in COLUMNS]
