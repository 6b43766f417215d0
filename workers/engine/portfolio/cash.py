"""Cash by currency: what is held, what is reserved for open orders, and what it can buy, at explicit rates.

Amounts are integers in money units (10**-16) of their currency. A conversion rate is an exact fraction, given by the
caller with its time; there is no rate that was not given, and none that is too old.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from workers.engine.portfolio.problem import PortfolioError

FEE_SCALE: Final = 10**8


@dataclass(frozen=True)
class Rate:
    """One unit of ``base`` is worth ``price`` units of ``quote``, known at ``ts`` (ns)."""

    base: str
    quote: str
    price: Fraction
    ts: int

    def __post_init__(self) -> None:
        if self.price <= 0 or self.base == self.quote:
            raise PortfolioError(f"expected a positive rate between two currencies, was {self}")


@dataclass(frozen=True)
class Rates:
    """Conversion at given rates; a rate older than ``max_age_ns`` counts as none."""

    rates: tuple[Rate, ...]
    max_age_ns: int

    def find(self, base: str, quote: str, *, now: int) -> Fraction:
        """The rate from ``base`` to ``quote``, also by turning one round; never through a third currency.

        Raises PortfolioError when there is none, when it is too old, or when it is from after ``now``.
        """
        if base == quote:
            return Fraction(1)
        known = [rate for rate in self.rates if {rate.base, rate.quote} == {base, quote}]
        if not known:
            raise PortfolioError(f"no rate from {base} to {quote}; give one")
        newest = max(known, key=lambda rate: rate.ts)
        if not 0 <= now - newest.ts <= self.max_age_ns:
            raise PortfolioError(
                f"the rate of {newest.base}/{newest.quote} is {(now - newest.ts) / 1e9:.1f} s old, at most "
                f"{self.max_age_ns / 1e9:.1f} s may go by"
            )
        return newest.price if newest.base == base else 1 / newest.price

    def convert(self, amount: int, base: str, quote: str, *, now: int) -> int:
        """``amount`` in money units of ``quote``, rounded against the account: down, for what is held as for a debt."""
        value = amount * self.find(base, quote, now=now)
        return value.numerator // value.denominator


@dataclass
class Cash:
    """Cash of one account. ``total`` and ``reserved`` by currency; a reservation belongs to one order and one currency.

    Never lets more be reserved than there is: what an order may cost at worst is set aside before it is sent.
    """

    total: dict[str, int] = field(default_factory=dict)
    reservations: dict[str, tuple[str, int]] = field(default_factory=dict)

    def reserved(self, currency: str) -> int:
        """Set aside in ``currency``."""
        return sum(amount for held, amount in self.reservations.values() if held == currency)

    def free(self, currency: str) -> int:
        """Neither spent nor set aside; negative when cash left behind the reservations' back."""
        return self.total.get(currency, 0) - self.reserved(currency)

    def reserve(self, order: str, currency: str, amount: int) -> None:
        """Set ``amount`` aside for ``order``; again for the same order replaces it. PortfolioError if short."""
        before = self.reservations.get(order, (currency, 0))
        if amount < 0 or before[0] != currency:
            raise PortfolioError(f"expected an amount of 0 or more in {before[0]}, was {amount} {currency} ({order})")
        free = self.free(currency) + before[1]
        if amount > free:
            raise PortfolioError(f"{amount} money units of {currency} were asked for {order}, {free} are free")
        self.reservations[order] = (currency, amount)

    def settle(self, order: str, currency: str, change: int) -> None:
        """Book a fill's cash ``change``; a payment is taken from the order's own reservation first."""
        held = self.reservations.get(order)
        if change < 0 and held is not None and held[0] == currency:
            left = max(held[1] + change, 0)
            self.reservations[order] = (currency, left)
        self.total[currency] = self.total.get(currency, 0) + change

    def release(self, order: str) -> int:
        """The order is over: return what was still set aside for it, which is free again."""
        return self.reservations.pop(order, ("", 0))[1]

    def buying_power(self, currency: str, *, rates: Rates, now: int, haircut_bps: int = 0, keep: int = 0) -> int:
        """What can be bought in ``currency``: free cash of it, plus that of the others at the rates, less a haircut.

        Other currencies' overdrafts count in full. ``keep`` stays as a buffer. Never negative.
        """
        if not 0 <= haircut_bps <= 10_000:
            raise PortfolioError(f"expected a haircut of 0 to 10000 bps, was {haircut_bps}")
        power = -keep
        for held in sorted(self.total):
            worth = rates.convert(self.free(held), held, currency, now=now)
            foreign = held != currency and worth > 0
            power += worth * (10_000 - haircut_bps) // 10_000 if foreign else worth
        return max(power, 0)


def affordable_lots(power: int, *, lot_price: int, fee_rate: int) -> int:
    """Lots that ``power`` buys at ``lot_price`` money units each with a fee of ``fee_rate`` 10**-8 of the value."""
    if lot_price <= 0 or fee_rate < 0:
        raise PortfolioError(f"expected a positive price and a fee of 0 or more, was {lot_price} and {fee_rate}")
    return max(power, 0) * FEE_SCALE // (lot_price * (FEE_SCALE + fee_rate))
