"""What approving a rebalance would send, and the cash that its orders could be paid from."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from typing import Any, NamedTuple

from apps.core.errors import IllegalTransition
from apps.core.money import plain
from apps.trading.domain import rebalances as plans
from apps.trading.domain.parents import LIVE
from apps.trading.domain.rebalances import ProposedTrade, Situation
from apps.trading.models import Balance, Instrument, Order, ParentOrder, Position, RebalanceRun, RebalanceState
from apps.trading.selectors_halts import halts_of
from apps.trading.selectors_rebalances import MARKET_MARGIN, total_cash
from apps.trading.services.books import engine_instrument
from workers.engine.instruments import MONEY_PER_UNIT, money
from workers.engine.instruments import Instrument as EngineInstrument
from workers.engine.portfolio.cash import Cash
from workers.engine.portfolio.execution import Execution
from workers.engine.portfolio.policy import parse_policy
from workers.engine.portfolio.problem import PortfolioError
from workers.engine.vocabulary import OPEN_STATUSES


class Proposal(NamedTuple):
    """The orders that a run proposes. ``problem`` says why it cannot be approved now, empty when it can."""

    run: RebalanceRun
    asked: Execution
    trades: list[ProposedTrade]
    digest: str
    expires_at: datetime
    problem: str

    @property
    def grant_object(self) -> str:
        """What leave to approve is given for: these orders of this run, as they were shown, and nothing else."""
        return f"{self.run.venue_id}:{self.digest}"


def proposal_of(run: RebalanceRun, now: datetime) -> Proposal:
    """What approving ``run`` would send; IllegalTransition unless it ended with trades on the venue as it is."""
    if run.state != RebalanceState.DONE or run.finished_at is None:
        raise IllegalTransition(f"rebalance {run.pk} is {run.state}; only a done one is approved", state=run.state)
    try:
        asked = parse_policy(run.policy).execution
    except PortfolioError as error:
        raise IllegalTransition(
            f"the policy of rebalance {run.pk} cannot be used by this version: {error}; ask for a new book",
            state="expired",
        ) from error
    trades = plans.proposed(run.outcome, asked, instruments(run.venue_id))
    if not trades:
        raise IllegalTransition(f"rebalance {run.pk} proposes no trade", state=run.state)
    digest = plans.digest(str(run.pk), run.inputs_digest, run.policy.get("execution", {}), trades)
    found = Proposal(run, asked, trades, digest, plans.expires_at(run.finished_at, asked), "")
    return found._replace(problem=_problem(found, now))


def _problem(found: Proposal, now: datetime) -> str:
    run, asked = found.run, found.asked
    if hasattr(run, "execution"):
        return f"it was approved by {run.execution.approved_by_name} already"
    if halts := halts_of(run.venue_id, [trade.instrument.symbol for trade in found.trades]):
        return "; ".join(dict.fromkeys(halts.values()))
    if "held" not in run.inputs:
        return "it was computed before proposals could be approved; ask for a new book"
    if now >= found.expires_at:
        return f"it is older than {asked.max_age_s:g} s; ask for a new book"
    why = plans.outdated(
        found.trades,
        asked,
        equity=Decimal(run.outcome["equity"]),
        before={**run.inputs, "prices": {name: row["price"] for name, row in run.outcome["targets"].items()}},
        now=_situation(run),
    )
    return f"{why}; ask for a new book" if why else ""


def _situation(run: RebalanceRun) -> Situation:
    rows = list(Position.objects.filter(venue_id=run.venue_id))
    return Situation(
        marks={row.symbol: row.mark for row in rows},
        quantities={row.symbol: row.quantity for row in rows},
        cash=total_cash(run.venue_id, run.inputs["quote"]),
    )


def preview(run: RebalanceRun, now: datetime) -> dict[str, Any]:
    """What approving would send, for the one who is about to sign it."""
    found = proposal_of(run, now)
    return {
        "run": str(run.pk),
        "venue": run.venue_id,
        "digest": found.digest,
        "expires_at": found.expires_at.isoformat(),
        "problem": found.problem,
        "algorithm": found.asked.algorithm,
        "params": found.asked.params,
        "duration_s": found.asked.duration_s,
        "quote": run.inputs["quote"],
        "cost": run.outcome["cost"],
        "trades": [{**trade.signed, "price": plain(trade.price)} for trade in found.trades],
    }


def instruments(venue: str) -> dict[str, EngineInstrument]:
    """What ``venue`` lists, by symbol."""
    return {row.symbol: engine_instrument(row) for row in Instrument.objects.filter(venue_id=venue)}


def cash_of(venue: str, items: dict[str, EngineInstrument]) -> Cash:
    """Cash by currency, with what open buys and the rest of live parent orders may still cost at worst set aside."""
    currencies = {item.quote_key: item.quote for item in items.values()}
    balances = Balance.objects.filter(venue_id=venue, asset__in=currencies)
    cash = Cash({row.asset: money(row.total, currencies[row.asset]) for row in balances})
    marks = dict(Position.objects.filter(venue_id=venue).values_list("symbol", "mark"))
    live = list(ParentOrder.objects.filter(venue_id=venue, status__in=LIVE))
    known = {parent.parent_id for parent in live}
    for parent in live:
        if parent.side == "BUY" and parent.symbol in items:
            price = parent.limit_price or _market(marks.get(parent.symbol) or parent.arrival_price)
            _set_aside(cash, parent.parent_id, items[parent.symbol], parent.quantity - parent.filled_quantity, price)
    working = Order.objects.filter(venue_id=venue, side="BUY", status__in=[status.value for status in OPEN_STATUSES])
    for order in working:
        # Children are part of what is left of their parents.
        if order.parent_id not in known and order.symbol in items:
            price = order.price or _market(order.reference_price)
            _set_aside(cash, order.client_id, items[order.symbol], order.quantity - order.filled_quantity, price)
    return cash


def _market(reference: Decimal | None) -> Decimal | None:
    return None if reference is None else reference * MARKET_MARGIN


def _set_aside(cash: Cash, key: str, item: EngineInstrument, quantity: Decimal, price: Decimal | None) -> None:
    """Reserve the worst cost; where it is unknown, or more than there is, all that is free."""
    currency = item.quote_key
    free = max(cash.free(currency), 0)
    cost = None if price is None else max(quantity, Decimal(0)) * price * (1 + item.taker_fee) * MONEY_PER_UNIT
    worst = free if cost is None else int(cost.to_integral_value(ROUND_CEILING))
    cash.reserve(key, currency, min(worst, free))
