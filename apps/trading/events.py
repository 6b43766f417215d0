"""What trading writes to the audit trail."""

from __future__ import annotations

from typing import Final

EVENTS: Final[dict[str, str]] = {
    "trading.venue.created": "A venue was set up",
    "trading.venue.changed": "The description of a venue changed",
    "trading.journal.anchored": "A checkpoint of the execution journal was anchored",
    "trading.halt.automatic": "The trading loop halted itself",
    "trading.halt.ordered": "Trading was halted",
    "trading.resume.requested": "Resuming was requested and waits for another person",
    "trading.resume.ordered": "Trading was resumed",
    "trading.resume.expired": "A request to resume ran out of time",
    "trading.parent.requested": "A parent order was asked for",
    "trading.parent.cancel_requested": "A parent order was ordered to end",
    "trading.backtest.requested": "A backtest or a search was asked for",
    "trading.backtest.cancelled": "A backtest or a search was cancelled",
    "trading.backtest.finished": "A backtest or a search came to its result",
    "trading.backtest.failed": "A backtest could not be run",
    "trading.orders.cancel_all": "All open orders were ordered to be cancelled",
}
