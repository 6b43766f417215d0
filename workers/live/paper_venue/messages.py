"""Orders, executions and balances in Binance's words."""

from __future__ import annotations

from typing import Any

from workers.engine.execution.matching_balances import Balances
from workers.engine.execution.matching_types import Accepted, Ended, EndReason, Filled, Refused, Triggered, VenueOrder
from workers.engine.instruments import from_atoms, from_money
from workers.engine.vocabulary import OrderStatus, OrderType, Side
from workers.live.paper_venue.journal import VenueTrade
from workers.live.paper_venue.wire import Grid, fixed

_MS = 1_000_000
_ZERO = "0.00000000"
_STATUS = {OrderStatus.WORKING: "NEW"}


def status(order: VenueOrder) -> str:
    """The order's status as Binance calls it."""
    if order.end_reason is EndReason.SELF_TRADE:
        return "EXPIRED_IN_MATCH"
    return _STATUS.get(order.status, str(order.status))


def kind(order: VenueOrder) -> str:
    """The order's type as Binance calls it; a stop keeps it when it was triggered."""
    if order.trigger:
        return "STOP_LOSS" if order.order_type is OrderType.MARKET else "STOP_LOSS_LIMIT"
    return str(order.order_type)


def order_row(order: VenueOrder, grid: Grid) -> dict[str, Any]:
    """An order as the query endpoints answer it."""
    return {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_id,
        "price": grid.price(order.price),
        "origQty": grid.quantity(order.lots),
        "executedQty": grid.quantity(order.filled),
        "origQuoteOrderQty": _ZERO,
        "cummulativeQuoteQty": fixed(from_money(order.money)),
        "status": status(order),
        "timeInForce": str(order.tif),
        "type": kind(order),
        "side": order.side.name,
        "stopPrice": grid.price(order.trigger),
        "icebergQty": _ZERO,
        "time": order.created // _MS,
        "updateTime": order.updated // _MS,
        "isWorking": not order.waits,
        "workingTime": -1 if order.waits else (order.triggered or order.created) // _MS,
        "selfTradePreventionMode": str(order.self_trade),
    }


def order_answer(order: VenueOrder, grid: Grid, fills: list[Filled], form: str) -> dict[str, Any]:
    """Answer to a new order in form ACK, RESULT or FULL."""
    answer: dict[str, Any] = {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_id,
        "transactTime": order.updated // _MS,
    }
    if form == "ACK":
        return answer
    row = order_row(order, grid)
    for name in ("symbol", "orderId", "orderListId", "clientOrderId", "time", "updateTime", "stopPrice", "icebergQty"):
        row.pop(name)
    answer.update(row)
    if form == "FULL":
        answer["fills"] = [
            {
                "price": grid.price(f.price),
                "qty": grid.quantity(f.lots),
                "commission": fixed(from_atoms(f.fee)),
                "commissionAsset": f.fee_asset,
                "tradeId": f.trade_id,
            }
            for f in fills
        ]
    return answer


def cancel_answer(order: VenueOrder, grid: Grid, cancel_id: str) -> dict[str, Any]:
    """Answer to a cancel."""
    row = order_row(order, grid)
    for name in ("time", "updateTime", "stopPrice", "icebergQty", "isWorking", "workingTime"):
        row.pop(name)
    row.update(origClientOrderId=order.client_id, clientOrderId=cancel_id, transactTime=order.updated // _MS)
    return row


def trade_row(trade: VenueTrade, grid: Grid) -> dict[str, Any]:
    """An execution as ``myTrades`` answers it."""
    return {
        "symbol": trade.symbol,
        "id": trade.trade_id,
        "orderId": trade.order_id,
        "orderListId": -1,
        "price": grid.price(trade.price),
        "qty": grid.quantity(trade.lots),
        "quoteQty": fixed(from_money(trade.money)),
        "commission": fixed(from_atoms(trade.fee)),
        "commissionAsset": trade.fee_asset,
        "time": trade.ts // _MS,
        "isBuyer": trade.buy,
        "isMaker": trade.maker,
        "isBestMatch": True,
    }


def execution_report(
    report: Accepted | Triggered | Filled | Ended, grid: Grid, now: int, cancel_id: str = ""
) -> dict[str, Any]:
    """A user data event for one step of an order's life."""
    order = report.order
    event = _report_base(order, grid, now, report.ts)
    match report:
        case Accepted() | Triggered():
            event.update(x="NEW", X="NEW", z=_ZERO, Z=_ZERO, w=isinstance(report, Triggered) or not order.trigger)
        case Filled():
            done = report.filled == order.lots
            event.update(
                x="TRADE",
                X="FILLED" if done else "PARTIALLY_FILLED",
                l=grid.quantity(report.lots),
                L=grid.price(report.price),
                Y=fixed(from_money(report.price * report.lots * grid.instrument.lot_value)),
                z=grid.quantity(report.filled),
                Z=fixed(from_money(report.money)),
                n=fixed(from_atoms(report.fee)),
                N=report.fee_asset,
                t=report.trade_id,
                m=report.maker,
                w=not done,
            )
        case Ended():
            step = "CANCELED" if report.status is OrderStatus.CANCELED else "EXPIRED"
            step = "TRADE_PREVENTION" if report.reason is EndReason.SELF_TRADE else step
            event.update(x=step, X=status(order), z=grid.quantity(order.filled), Z=fixed(from_money(order.money)))
            if cancel_id and report.status is OrderStatus.CANCELED:
                event.update(c=cancel_id, C=order.client_id)
    return event


def _report_base(order: VenueOrder, grid: Grid, now: int, ts: int) -> dict[str, Any]:
    return {
        "e": "executionReport",
        "E": now // _MS,
        "s": order.symbol,
        "c": order.client_id,
        "S": order.side.name,
        "o": kind(order),
        "f": str(order.tif),
        "q": grid.quantity(order.lots),
        "p": grid.price(order.price),
        "P": grid.price(order.trigger),
        "F": _ZERO,
        "g": -1,
        "C": "",
        "r": "NONE",
        "i": order.order_id,
        "l": _ZERO,
        "L": _ZERO,
        "n": "0",
        "N": None,
        "T": ts // _MS,
        "t": -1,
        "I": order.order_id,
        "w": False,
        "m": False,
        "M": False,
        "O": order.created // _MS,
        "Y": _ZERO,
        "Q": _ZERO,
        "W": order.created // _MS,
        "V": str(order.self_trade),
    }


def refusal_report(side: Side, symbol: str, refused: Refused, now: int) -> dict[str, Any]:
    """A user data event for the new order of a cancel-replace that was refused after the cancel."""
    return {
        "e": "executionReport",
        "E": now // _MS,
        "s": symbol,
        "c": refused.client_id,
        "S": side.name,
        "x": "REJECTED",
        "X": "REJECTED",
        "r": str(refused.refusal),
        "i": -1,
        "t": -1,
        "T": refused.ts // _MS,
    }


def balance_rows(balances: Balances) -> list[dict[str, str]]:
    """Every balance as the account endpoint answers it."""
    return [
        {"asset": a, "free": fixed(from_atoms(balances.free(a))), "locked": fixed(from_atoms(balances.locked(a)))}
        for a in balances.assets()
    ]


def account_position(balances: Balances, assets: set[str], now: int) -> dict[str, Any]:
    """A user data event with the balances that changed."""
    return {
        "e": "outboundAccountPosition",
        "E": now // _MS,
        "u": now // _MS,
        "B": [
            {"a": a, "f": fixed(from_atoms(balances.free(a))), "l": fixed(from_atoms(balances.locked(a)))}
            for a in sorted(assets)
        ],
    }
