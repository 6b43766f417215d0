"""What a parent order would ask the loop for, and the digest that leave to order it is given for. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from decimal import Decimal

import msgspec

from apps.core.money import WIDE, estimate, plain
from workers.engine.execution.parent import ParentRequest
from workers.engine.instruments import Instrument


@dataclass(frozen=True, slots=True)
class ParentPreview:
    """What would be asked for, planned at time 0.

    ``value`` and ``fee`` are estimates at ``mark``, in the quote asset, None without one.
    """

    request: ParentRequest
    instrument: Instrument
    mark: Decimal | None

    @property
    def digest(self) -> str:
        """Names exactly this order: leave for it is leave for nothing else."""
        return digest(self.request, self.instrument)

    @property
    def quantity(self) -> Decimal:
        return self.instrument.quantity(self.request.lots)

    @property
    def value(self) -> Decimal | None:
        return None if self.mark is None else estimate(WIDE.multiply(self.quantity, self.mark))

    @property
    def fee(self) -> Decimal | None:
        """At the taker's rate."""
        return None if self.value is None else estimate(WIDE.multiply(self.value, self.instrument.taker_fee))


def digest(request: ParentRequest, instrument: Instrument) -> str:
    """SHA-256 over all that the loop would be asked for by a ``request`` that was planned at time 0.

    The grid is part of it: where a venue changes its lot, what was signed is not what would be sent.
    """
    grid = [plain(instrument.lot), plain(instrument.tick)]
    asked = [msgspec.to_builtins(request), grid]
    return hashlib.sha256(msgspec.json.encode(asked, order="deterministic")).hexdigest()[:24]
