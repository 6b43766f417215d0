"""What strategies there are: name, words, hooks, and parameters with type, default and bounds."""

from __future__ import annotations

import inspect
from typing import Any, Final

import msgspec

from workers.engine.strategy import Strategy, names, overrides_of, type_of

HOOKS: Final = ("on_bar", "on_top", "on_trade", "on_forecast", "on_fill", "on_order", "on_timer")
BUILT_IN: Final = "workers.engine.strategies."
_BOUNDS: Final = (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below"))


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter; ``choices`` where only some values are allowed, ``bounds`` in words."""

    name: str
    type: str
    default: Any
    bounds: str = ""
    choices: tuple[Any, ...] = ()


class Card(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy as people see it."""

    name: str
    summary: str
    detail: str
    built_in: bool
    uses_forecasts: bool
    hooks: tuple[str, ...]
    params: tuple[Parameter, ...]


def catalog() -> tuple[Card, ...]:
    """All registered strategies by name."""
    return tuple(card(name) for name in names())


def card(name: str) -> Card:
    """One strategy; StrategyError when there is none of the name."""
    strategy = type_of(name)
    module = inspect.getmodule(strategy)
    words = inspect.getdoc(module) or inspect.getdoc(strategy) or ""
    return Card(
        name=name,
        summary=words.split("\n\n")[0].replace("\n", " "),
        detail=inspect.cleandoc(vars(strategy.params_type).get("__doc__") or ""),
        built_in=strategy.__module__.startswith(BUILT_IN),
        uses_forecasts=strategy.lookback is not Strategy.lookback,
        hooks=tuple(hook for hook in HOOKS if overrides_of(strategy, hook)),
        params=tuple(_parameter(field) for field in msgspec.structs.fields(strategy.params_type)),
    )


def _parameter(field: msgspec.structs.FieldInfo) -> Parameter:
    info: Any = msgspec.inspect.type_info(field.type)
    while isinstance(info, msgspec.inspect.Metadata):
        info = info.type
    choices = tuple(info.values) if isinstance(info, msgspec.inspect.LiteralType) else ()
    bounds = [f"{word} {limit:g}" for name, word in _BOUNDS if (limit := getattr(info, name, None)) is not None]
    kind = type(info).__name__.removesuffix("Type").lower()
    default = None if field.default is msgspec.NODEFAULT else field.default
    return Parameter(
        name=field.name,
        type="choice" if choices else kind,
        default=default,
        bounds=", ".join(bounds),
        choices=choices,
    )
