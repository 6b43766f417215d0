"""From the outcome of a rebalance run to orders that a person can put his name to, and when it is too late. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from apps.core.errors import IllegalTransition
from apps.core.money import plain
from workers.engine.instruments import GridError, Instrument
from workers.engine.portfolio.execution import Execution, limit_of
from workers.engine.portfolio.policy import digest_of


@dataclass(frozen=True, slots=True)
class ProposedTrade:
    """One trade of a proposal: ``price`` as it was computed at, ``limit_price`` the worst that it may trade at."""

    instrument: Instrument
    side: str
    quantity: Decimal
    price: Decimal
    limit_price: Decimal

    @property
    def signed(self) -> dict[str, str]:
        """What a person puts his name to."""
        return {
            "symbol": self.instrument.symbol,
            "side": self.side,
            "quantity": plain(self.quantity),
            "limit_price": plain(self.limit_price),
        }


@dataclass(frozen=True, slots=True)
class Situation:
    """The account now: marks and quantities by symbol, and total cash of the quote asset."""

    marks: Mapping[str, Decimal | None]
    quantities: Mapping[str, Decimal]
    cash: Decimal


def proposed(
    outcome: Mapping[str, Any], asked: Execution, instruments: Mapping[str, Instrument]
) -> list[ProposedTrade]:
    """The trades of a run's outcome, sells first; IllegalTransition when the venue's grid is another one by now."""
    found = []
    for trade in outcome.get("trades", []):
        if not trade["side"]:
            continue
        symbol, buy = trade["symbol"], trade["side"] == "BUY"
        item = instruments.get(symbol)
        if item is None:
            raise IllegalTransition(f"{symbol} is not listed any more; ask for a new book", state="expired")
        try:
            ticks = item.ticks(outcome["targets"][symbol]["price"])
            quantity = item.quantity(item.lots(trade["quantity"]))
        except GridError as error:
            raise IllegalTransition(f"the venue changed since: {error}; ask for a new book", state="expired") from error
        limit = item.price(limit_of(ticks, buy=buy, move=asked.price_move))
        found.append(ProposedTrade(item, trade["side"], quantity, item.price(ticks), limit))
    return found


def digest(run_id: str, inputs_digest: str, asked: Mapping[str, Any], trades: list[ProposedTrade]) -> str:
    """Names exactly these orders of this run: leave for them is leave for nothing else."""
    return digest_of([run_id, inputs_digest, asked, [trade.signed for trade in trades]])[:24]


def expires_at(finished_at: datetime, asked: Execution) -> datetime:
    return finished_at + timedelta(seconds=asked.max_age_s)


def outdated(
    trades: list[ProposedTrade],
    asked: Execution,
    *,
    equity: Decimal,
    before: Mapping[str, Any],
    now: Situation,
) -> str:
    """Why prices or book have moved too far since the proposal was made; an empty text while they have not.

    ``before`` holds ``held`` quantities by symbol, ``prices`` and ``cash`` as the run had them. An instrument without a
    mark now, because it was never held, is not compared: its limit price keeps it to the same tolerance.
    """
    for trade in trades:
        mark = now.marks.get(trade.instrument.symbol)
        if mark is not None and abs(mark / trade.price - 1) > Decimal(str(asked.price_move)):
            return (
                f"{trade.instrument.symbol} was at {plain(trade.price)} and is at {plain(mark)}, "
                f"further than {asked.price_move:.2%}"
            )
    moved = abs(now.cash - Decimal(before["cash"]))
    for symbol, quantity in before["held"].items():
        change = now.quantities.get(symbol, Decimal(0)) - Decimal(quantity)
        moved += abs(change) * Decimal(before["prices"][symbol])
    # What was bought shows as cash that went and as holdings that came.
    share = moved / 2 / equity
    if share > Decimal(str(asked.book_move)):
        return f"{share:.2%} of the book has changed since, more than {asked.book_move:.2%}"
    return ""
