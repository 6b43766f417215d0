"""What proposed orders would change: the gate's verdicts, value at risk, exposure and stress. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from apps.core.context import Context
from apps.core.errors import Invalid
from apps.trading import rows
from apps.trading.domain import risk as rules
from apps.trading.domain.signals import reason_text
from apps.trading.selectors import may_view
from apps.trading.selectors_risk import basis, latest_report, var_limit
from apps.trading.services.risk_gate import gate_verdicts
from workers.engine.vocabulary import Side


def what_if(ctx: Context, *, venue: str, orders: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The answer to ``orders`` ``{symbol, side, quantity, price, order_type}`` on the newest report's prices.

    Positions and cash are those of now. Needs TRADING_VIEW; NotFound before the first report; Invalid names the order
    and field that cannot be judged.
    """
    may_view(ctx, "risk_what_if")
    before, settings = basis(venue)
    proposed = [
        rules.Proposed(
            symbol=order["symbol"],
            side=int(Side[order["side"]]),
            quantity=order["quantity"],
            price=order.get("price"),
        )
        for order in orders
    ]
    try:
        after = rules.with_orders(before, proposed)
    except rules.ProposalError as error:
        raise Invalid(str(error), **{f"orders[{error.index}].{error.field}": [error.problem]}) from error
    made = rules.compare(before, after, settings)
    limit = var_limit()
    return {
        "venue": venue,
        "as_of": rows.stamp(latest_report(venue).at),
        "gate": _gate(orders),
        "var_limit": rows.amount(limit),
        "within_var_limit": _within(made["after"]["var"], limit),
        **made,
    }


def _gate(orders: Sequence[dict[str, Any]]) -> dict[str, Any]:
    found = gate_verdicts(
        [{name: None if value is None else str(value) for name, value in one.items()} for one in orders]
    )
    verdicts = [
        {**one, "reasons": [{"code": code, "text": reason_text(code)} for code in one["reasons"]]}
        for one in found["verdicts"]
    ]
    return {**found, "verdicts": verdicts}


def _within(var: str | None, limit: Decimal | None) -> bool | None:
    return None if var is None or limit is None else Decimal(var) <= limit
