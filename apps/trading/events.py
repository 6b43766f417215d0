"""What trading writes to the audit trail."""

from __future__ import annotations

from typing import Final

EVENTS: Final[dict[str, str]] = {
    "trading.venue.created": "A venue was set up",
    "trading.venue.changed": "The description of a venue changed",
    "trading.journal.anchored": "A checkpoint of the execution journal was anchored",
    "trading.halt.automatic": "The trading loop halted itself",
    "trading.flatten.ordered": "Positions were ordered to be closed",
    "trading.halt.ordered": "Trading was halted",
    "trading.resume.requested": "Resuming was requested and waits for another person",
    "trading.resume.ordered": "Trading was resumed",
    "trading.resume.expired": "A request to resume ran out of time",
    "trading.rebalance.requested": "The computation of a new book was asked for",
    "trading.rebalance.finished": "The computation of a new book ended: with a book, or with the old one kept",
    "trading.rebalance.failed": "The computation of a new book had no answer",
    "trading.rebalance.approved": "The trades of a proposed book were approved and are being worked",
    "trading.rebalance.cancelled": "An approved rebalance was ordered to end",
    "trading.rebalance.executed": "An approved rebalance ended: in full, in part, without a trade, or cancelled",
    "trading.rebalance.schedule_set": "A policy was set that asks for new books by itself",
    "trading.rebalance.schedule_ended": "A policy that asked for new books by itself was ended",
    "trading.balance.adoption_asked": "Taking the venue's balance for ours was asked for and waits for another person",
    "trading.balance.adoption_ordered": "The venue's balance was ordered to be taken for ours",
    "trading.balance.adopted": "The books took the venue's balance",
    "trading.balance.adoption_expired": "A decision to take the venue's balance ran out of time",
    "trading.records.pruned": "Old backtests, unapproved rebalances or fine-grained valuations were removed",
    "trading.parent.requested": "A parent order was asked for",
    "trading.parent.cancel_requested": "A parent order was ordered to end",
    "trading.scope.halted": "Trading of a scope was halted",
    "trading.scope.halted_itself": "A trading loop halted a scope by itself",
    "trading.scope.resume_requested": "Resuming a scope was requested and waits for another person",
    "trading.scope.resumed": "Trading of a scope was resumed",
    "trading.orders.cancel_some": "A part of the open orders was ordered to be cancelled",
    "trading.backtest.requested": "A backtest or a search was asked for",
    "trading.backtest.cancelled": "A backtest or a search was cancelled",
    "trading.backtest.finished": "A backtest or a search came to its result",
    "trading.backtest.failed": "A backtest could not be run",
    "trading.orders.cancel_all": "All open orders were ordered to be cancelled",
}
