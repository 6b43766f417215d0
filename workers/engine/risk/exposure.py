"""What is held, as sums: gross, net, by currency, venue and instrument, and how concentrated. Exact decimals, pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

ZERO: Final = Decimal(0)
_SHARE: Final = Decimal("0.000001")


class ExposureError(ValueError):
    """Holdings that cannot be added up, such as prices in two currencies."""


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """A position at its mark; ``quantity`` in the base asset, signed, and ``mark`` in the quote asset."""

    symbol: str
    venue: str
    base: str
    quote: str
    quantity: Decimal
    mark: Decimal

    @property
    def value(self) -> Decimal:
        """Worth in the quote asset, negative when short."""
        return self.quantity * self.mark


class Concentration(msgspec.Struct, frozen=True, kw_only=True):
    """``herfindahl`` is the sum of squared shares of gross, 1 for a single holding; ``effective`` is its inverse."""

    herfindahl: Decimal = ZERO
    effective: Decimal = ZERO
    largest: str = ""
    largest_share: Decimal = ZERO


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """All in ``quote``. ``currencies`` holds what depends on each asset, cash included; ``venues`` gross by venue.

    ``concentration`` is by instrument, ``base_concentration`` by base asset over all venues: what is long at one venue
    and short at another makes up for itself there.
    """

    quote: str
    gross: Decimal
    net: Decimal
    long: Decimal
    short: Decimal
    instruments: dict[str, Decimal]
    venues: dict[str, Decimal]
    currencies: dict[str, Decimal]
    concentration: Concentration
    base_concentration: Concentration


def exposure(holdings: Iterable[Holding], cash: Mapping[str, Decimal], quote: str) -> Exposure:
    """Sums over ``holdings``, which must all be priced in ``quote``; ``cash`` is by currency.

    Only cash in ``quote`` counts: ExposureError for a holding priced in, or cash held in, another currency that is
    worth something, because no rate is given for it.
    """
    held = [one for one in holdings if one.quantity]
    for one in held:
        if one.quote != quote:
            raise ExposureError(f"expected prices in {quote}, was {one.quote} ({one.venue}:{one.symbol})")
    foreign = sorted(currency for currency, amount in cash.items() if amount and currency != quote)
    if foreign:
        raise ExposureError(
            f"expected cash in {quote}, was {cash[foreign[0]]} {foreign[0]}, for which there is no rate"
        )
    instruments, venues, bases = dict[str, Decimal](), dict[str, Decimal](), dict[str, Decimal]()
    for one in held:
        _add(instruments, one.symbol, one.value)
        _add(venues, one.venue, abs(one.value))
        _add(bases, one.base, one.value)
    currencies = dict(bases)
    _add(currencies, quote, cash.get(quote, ZERO))
    long = sum((one.value for one in held if one.value > 0), ZERO)
    short = sum((-one.value for one in held if one.value < 0), ZERO)
    return Exposure(
        quote=quote,
        gross=long + short,
        net=long - short,
        long=long,
        short=short,
        instruments=instruments,
        venues=venues,
        currencies=currencies,
        concentration=concentration(instruments),
        base_concentration=concentration(bases),
    )


def concentration(values: Mapping[str, Decimal]) -> Concentration:
    """Of the sizes of ``values``; nothing held is not concentrated."""
    sizes = {name: abs(value) for name, value in values.items() if value}
    gross = sum(sizes.values(), ZERO)
    if not gross:
        return Concentration()
    squares = sum((size * size for size in sizes.values()), ZERO)
    largest = max(sizes, key=lambda name: (sizes[name], name))
    return Concentration(
        herfindahl=(squares / (gross * gross)).quantize(_SHARE),
        effective=(gross * gross / squares).quantize(_SHARE),
        largest=largest,
        largest_share=(sizes[largest] / gross).quantize(_SHARE),
    )


def _add(sums: dict[str, Decimal], name: str, value: Decimal) -> None:
    sums[name] = sums.get(name, ZERO) + value


def plain_exposure(made: Exposure) -> dict[str, Any]:
    """``made`` in JSON's types, decimals as strings."""
    found: dict[str, Any] = msgspec.to_builtins(made)
    return found
