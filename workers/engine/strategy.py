"""What a strategy is: a class with typed parameters and hooks, found by its name.

A hook gets the ``Desk``: what the strategy may see (prices, position, equity, forecasts, the time) and do (order,
cancel). Everything it orders passes the risk gate. Strategies keep no clock, do no input or output, and give the same
orders for the same inputs, in a backtest as in live trading. ``docs/strategies.md`` shows how to write one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Generic, TypeVar

import msgspec

from workers.engine.events import Bar, Forecast, OrderFilled, TopOfBook, Trade
from workers.engine.execution.orders import Order
from workers.engine.market_state import HISTORY_BARS
from workers.engine.portfolio.move import move_to
from workers.engine.portfolio.sizing import lots_for_weight

if TYPE_CHECKING:
    from workers.engine.desk import Desk


class StrategyError(ValueError):
    """An unknown strategy, or parameters that do not fit it."""


PositiveInt = Annotated[int, msgspec.Meta(ge=1)]
NotNegative = Annotated[float, msgspec.Meta(ge=0.0)]
Fraction = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]


class Params(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a strategy's parameters; give every field a type and a default."""


P = TypeVar("P", bound=Params)


class Strategy(Generic[P]):
    """Base class; override the hooks that you need. Prices are ticks, quantities lots, times ns."""

    name: ClassVar[str] = ""
    params_type: ClassVar[type[Params]] = Params

    def __init__(self, params: P) -> None:
        self.params = params

    @property
    def lookback(self) -> int:
        """Number of closes that a forecast for this strategy needs; 0 when it uses none."""
        return 0

    def on_start(self, desk: Desk) -> None:
        """The run begins, or goes on after a restart."""

    def on_warm(self, bar: Bar) -> None:
        """A bar from before the run, to fill indicators; there is no desk, as nothing can be ordered."""

    def on_bar(self, desk: Desk, bar: Bar) -> None:
        """A bar of the run's interval closed."""

    def on_top(self, desk: Desk, top: TopOfBook) -> None:
        """The best bid or ask changed."""

    def on_trade(self, desk: Desk, trade: Trade) -> None:
        """Somebody traded."""

    def on_forecast(self, desk: Desk, forecast: Forecast) -> None:
        """A newer forecast arrived."""

    def on_fill(self, desk: Desk, fill: OrderFilled) -> None:
        """One of our orders was filled, wholly or in part; the books already have it."""

    def on_order(self, desk: Desk, order: Order) -> None:
        """The venue said something about one of our orders."""

    def on_timer(self, desk: Desk) -> None:
        """The host's timer ticked, at least once a second in live trading."""


S = TypeVar("S", bound="type[Strategy[Any]]")

_REGISTRY: Final[dict[str, type[Strategy[Any]]]] = {}


def register(name: str, params_type: type[Params]) -> Callable[[S], S]:
    """Class decorator: make the strategy known as ``name``, with its parameters' type."""

    def add(strategy: S) -> S:
        if name in _REGISTRY:
            raise StrategyError(f"strategy {name} is already registered, by {_REGISTRY[name].__qualname__}")
        strategy.name = name
        strategy.params_type = params_type
        _REGISTRY[name] = strategy
        return strategy

    return add


def names() -> tuple[str, ...]:
    """Names of all known strategies, sorted."""
    return tuple(sorted(_REGISTRY))


def type_of(name: str) -> type[Strategy[Any]]:
    """The class registered as ``name``; StrategyError when there is none."""
    strategy = _REGISTRY.get(name)
    if strategy is None:
        raise StrategyError(f"unknown strategy {name!r}; known are {', '.join(names())}")
    return strategy


def build(name: str, params: Mapping[str, Any]) -> Strategy[Any]:
    """Make the strategy ``name``; StrategyError when it is unknown or a parameter does not fit."""
    strategy = type_of(name)
    try:
        typed = msgspec.convert(dict(params), strategy.params_type, strict=False)
    except msgspec.ValidationError as error:
        raise StrategyError(f"parameters of {name}: {error}") from error
    made = strategy(typed)
    if made.lookback > HISTORY_BARS:
        raise StrategyError(f"expected a lookback of at most {HISTORY_BARS} bars, was {made.lookback} ({name})")
    return made


def overrides(strategy: Strategy[Any], hook: str) -> bool:
    """True when the strategy has its own version of ``hook``; the kernel skips the others."""
    return overrides_of(type(strategy), hook)


def overrides_of(strategy: type[Strategy[Any]], hook: str) -> bool:
    """The same of a class."""
    return getattr(strategy, hook) is not getattr(Strategy, hook)


def aim(desk: Desk, symbol: str, fraction: float, **why: Any) -> str | None:
    """Order at market what brings the position to ``fraction`` of the run's equity at the newest price.

    As near as cash and limits let it come, and in parts where it is more than one order may be; see ``move_to``, whose
    answer it gives. ``why`` is kept with the order.
    """
    market = desk.market(symbol)
    value = market.line.lot_value
    wanted = lots_for_weight(fraction, equity=desk.capital, price=market.reference, lot_value=value)
    return move_to(desk, symbol, wanted, **{"why": "aim", **why})
