"""``gekko show``: the pages in a terminal."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from apps.core.context import service_context
from apps.incidents.services import open_incident
from apps.trading import services
from apps.trading.services.scopes import halt_scope
from controlplane.commands.show import LISTS, show
from tests.factories import journal

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def day() -> None:
    events = [*journal.trading_day(11, 40), journal.marked(journal.START)]
    services.project(service_context("projector"), worker="w", records=journal.records(events))
    halt_scope(service_context("test"), scope="instrument:BTCUSDT", reason="odd prints", grant=None)
    known: dict[str, Any] = {"severity": "warning", "detail": "", "source": "test"}
    open_incident(service_context("incidents"), kind="feed_stale", fingerprint="f", title="It is stale", **known)


def ran(*words: str) -> Result:
    return CliRunner().invoke(show, list(words))


def rows(*words: str) -> Any:
    done = ran(*words, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


@pytest.mark.parametrize("what", ["pnl", *LISTS])
def test_each_list_is_printed_and_told_to_machines(what: str) -> None:
    done = ran(what)
    assert done.exit_code == 0, done.output
    told = rows(what)
    if what == "pnl":
        assert told["venue"] == "paper"
        assert "equity" in done.output
    elif told:
        assert set(LISTS[what].columns) <= set(told[0]) | {"what", "by"}
        assert done.output.count("\n") == len(told) + 1, "a head, and a line for each"
    else:
        assert done.output == f"no {what} on paper\n"


def test_lists_are_narrowed() -> None:
    assert len(rows("fills", "--limit", "3")) == 3
    assert {row["symbol"] for row in rows("orders", "--symbol", "ETHUSDT", "--limit", "100")} == {"ETHUSDT"}
    assert all(row["open"] for row in rows("orders", "--open"))
    assert [row["what"] for row in rows("halts", "--open")] == ["instrument:BTCUSDT"]
    assert [row["title"] for row in rows("incidents", "--open")] == ["It is stale"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("fills", "--open"), "--open says nothing of fills"),
        (("halts", "--symbol", "X"), "--symbol says nothing of halts"),
        (("orders", "--venue", "nowhere"), "there is no venue 'nowhere'"),
        (("trades",), "'trades' is not one of"),
        (("orders", "--limit", "0"), "1<=x<=10000"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(words: tuple[str, ...], said: str) -> None:
    done = ran(*words)
    assert done.exit_code != 0
    assert said in done.output
