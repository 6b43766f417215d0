"""Results through time by strategy or instrument, from what was traded alone. Pure.

At each execution, and exactly::

    net = received - paid - fees in the quote asset + (bought - sold - fees in the base asset) * its price

which is realised plus unrealised less fees, whatever cost method the books use. What an account held before its first
fill belongs to nobody's decision and is not in it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Flow:
    """All fills of one run in one instrument, added up: ``quantity`` in the base asset, ``cash`` in the quote asset.

    Both are after the fees that were taken from them.
    """

    run_id: str
    symbol: str
    quantity: Decimal
    cash: Decimal


@dataclass(frozen=True, slots=True)
class Execution:
    """One fill as a line through time needs it: what it changed in quantity and in cash, and its price."""

    at: datetime
    key: str
    symbol: str
    quantity: Decimal
    cash: Decimal
    price: Decimal


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
