"""Frames of venues without a recording, made from recordings of others: real prices in the venue's own form."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Lines = list[tuple[int, bytes]]


def advanced_trade_lines(frames: Lines) -> Lines:
    """Frames of the older Coinbase feed as Advanced Trade would send them, numbered over the connection."""
    lines: Lines = []
    for at, raw in frames:
        message = json.loads(raw)
        channel, event = _advanced(message)
        if event is not None:
            when = message.get("time") or "2021-04-17T16:43:37.000000Z"
            body = {
                "channel": channel,
                "client_id": "",
                "timestamp": when,
                "sequence_num": len(lines),
                "events": [event],
            }
            lines.append((at, json.dumps(body, separators=(",", ":")).encode()))
    return lines


def _advanced(message: dict[str, Any]) -> tuple[str, dict[str, Any] | None]:
    when, product = message.get("time", "1970-01-01T00:00:00Z"), message.get("product_id", "")
    if message["type"] == "snapshot":
        updates = [_update("bid", p, q, when) for p, q in message["bids"]]
        updates += [_update("offer", p, q, when) for p, q in message["asks"]]
        return "l2_data", {"type": "snapshot", "product_id": product, "updates": updates}
    if message["type"] == "l2update":
        updates = [_update("bid" if side == "buy" else "offer", p, q, when) for side, p, q in message["changes"]]
        return "l2_data", {"type": "update", "product_id": product, "updates": updates}
    if message["type"] == "match":
        names = ("product_id", "price", "size", "time")
        side = {"buy": "BUY", "sell": "SELL"}[message["side"]]
        trade = {**{name: message[name] for name in names}, "side": side, "trade_id": str(message["trade_id"])}
        return "market_trades", {"type": "update", "trades": [trade]}
    return "", None


def _update(side: str, price: str, quantity: str, when: str) -> dict[str, str]:
    return {"side": side, "event_time": when, "price_level": price, "new_quantity": quantity}


def oanda_lines(archive: Path, count: int) -> Lines:
    """The first ``count`` recorded gold ticks as lines of OANDA's pricing stream."""
    return list(_oanda(archive, count))


def _oanda(archive: Path, count: int) -> Iterator[tuple[int, bytes]]:
    midnight = 1_398_902_400 * 10**9
    with zipfile.ZipFile(archive) as files, files.open(files.namelist()[0]) as rows:
        for _, row in zip(range(count), rows, strict=False):
            ms, bid, ask = row.decode().strip().split(",")
            at = midnight + int(float(ms) * 1000) * 1000
            seconds = at // 10**9 - midnight // 10**9
            clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{at % 10**9:09d}"
            body = {
                "type": "PRICE",
                "time": f"2014-05-01T{clock}Z",
                "bids": [{"price": bid, "liquidity": 1_000_000}],
                "asks": [{"price": ask, "liquidity": 1_000_000}],
                "closeoutBid": bid,
                "closeoutAsk": ask,
                "status": "tradeable",
                "tradeable": True,
                "instrument": "XAU_USD",
            }
            yield at, json.dumps(body, separators=(",", ":")).encode()
