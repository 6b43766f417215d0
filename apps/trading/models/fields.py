"""Column types that are shared by trading records."""

from __future__ import annotations

from decimal import Decimal

from django.db import models


def exact(*, default: Decimal | None = Decimal(0)) -> models.DecimalField[Decimal, Decimal]:
    """An amount, price or quantity: 38 digits, 18 of them decimals, so that no engine unit is ever rounded."""
    if default is None:
        return models.DecimalField(max_digits=38, decimal_places=18)
    return models.DecimalField(max_digits=38, decimal_places=18, default=default)


def exact_or_none() -> models.DecimalField[Decimal | None, Decimal | None]:
    """As ``exact``, where there may be no value."""
    return models.DecimalField(max_digits=38, decimal_places=18, null=True, blank=True)
