"""Who earned what: the result of each strategy, instrument or venue, from what was traded alone. Pure.

For every group of fills, and exactly::

    net = received - paid - fees in the quote asset + (bought - sold - fees in the base asset) * mark

which is realised plus unrealised less fees, whatever cost method the books use. What an account held before its first
fill belongs to nobody's decision and is not in it; it is what the books' own result differs by.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from apps.core.money import plain

ZERO: Final = Decimal(0)
BPS: Final = 10_000
_SHOWN: Final = Decimal(1).scaleb(-8)


@dataclass(frozen=True, slots=True)
class Flow:
    """All fills of one run in one instrument, added up. Amounts in the quote asset, ``quantity`` in the base asset.

    ``quantity`` and ``cash`` are after the fees that were taken from them; ``fees`` values all of them at their fills.
    """

    run_id: str
    symbol: str
    quantity: Decimal
    cash: Decimal
    fees: Decimal
    volume: Decimal
    fills: int


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill as a line through time needs it: what it changed in quantity and in cash, and its price."""

    at: datetime
    key: str
    symbol: str
    quantity: Decimal
    cash: Decimal
    price: Decimal


def attribute(flows: Iterable[Flow], marks: Mapping[str, Decimal], key: Callable[[Flow], str]) -> list[dict[str, Any]]:
    """One row per key, the largest net result first; ``net`` is null where a held instrument has no mark."""
    groups: dict[str, list[Flow]] = defaultdict(list)
    for flow in flows:
        groups[key(flow)].append(flow)
    rows = [_row(name, found, marks) for name, found in groups.items()]
    return sorted(rows, key=lambda row: (row["net"] is None, -Decimal(row["net"] or 0), row["key"]))


def _row(name: str, flows: list[Flow], marks: Mapping[str, Decimal]) -> dict[str, Any]:
    held: dict[str, Decimal] = defaultdict(Decimal)
    for flow in flows:
        held[flow.symbol] += flow.quantity
    fees = sum((flow.fees for flow in flows), ZERO)
    volume = sum((flow.volume for flow in flows), ZERO)
    known = all(symbol in marks for symbol, quantity in held.items() if quantity)
    value = sum((quantity * marks[symbol] for symbol, quantity in held.items() if quantity), ZERO) if known else None
    net = None if value is None else sum((flow.cash for flow in flows), ZERO) + value
    return {
        "key": name,
        "net": None if net is None else _text(net),
        "before_fees": None if net is None else _text(net + fees),
        "fees": _text(fees),
        "volume": _text(volume),
        "fills": sum(flow.fills for flow in flows),
        "held_value": None if value is None else _text(value),
        "net_bps": _text(net / volume * BPS) if net is not None and volume else None,
    }


def _text(value: Decimal) -> str:
    return plain(value.quantize(_SHOWN))


def net_of(rows: Iterable[Mapping[str, Any]]) -> Decimal | None:
    """The rows' net results together; None when one of them is not known."""
    values = [row["net"] for row in rows]
    return None if None in values else sum((Decimal(value) for value in values), ZERO)


def lines(
    before: Iterable[tuple[str, Flow]], executions: Iterable[Execution], prices: Mapping[str, Decimal]
) -> dict[str, tuple[list[datetime], list[Decimal]]]:
    """Net result by key at each of its own executions, valued at the price of the execution.

    ``before`` are the flows of earlier times with their keys, ``prices`` what their instruments were worth then;
    an instrument without a price there counts from its first execution on.
    """
    cash: dict[str, Decimal] = defaultdict(Decimal)
    held: dict[str, dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    price = dict(prices)
    for key, flow in before:
        cash[key] += flow.cash
        held[key][flow.symbol] += flow.quantity
    found: dict[str, tuple[list[datetime], list[Decimal]]] = {}
    for each in executions:
        price[each.symbol] = each.price
        cash[each.key] += each.cash
        held[each.key][each.symbol] += each.quantity
        value = sum((quantity * price.get(symbol, ZERO) for symbol, quantity in held[each.key].items()), ZERO)
        at, net = found.setdefault(each.key, ([], []))
        at.append(each.at)
        net.append(cash[each.key] + value)
    return found
