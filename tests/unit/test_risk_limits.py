"""Limits: exact conversion, and errors that name the field."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.support.kernels import BTC, ETH, LIMITS
from workers.engine.config import SECOND_NS
from workers.engine.instruments import MONEY_PER_UNIT, atoms
from workers.engine.risk.limits import UNBOUNDED, LimitsError, limits_digest, parse_limits


def parsed(**changes: Any) -> Any:
    return parse_limits(3, {**LIMITS, **changes}, [BTC, ETH])


def test_units() -> None:
    limits = parsed(collar_bps=25, max_orders_per_second="2.5", min_order_interval_ms=250)
    assert limits.version == 3
    assert limits.max_order_lots == {"BTCUSDT": 100_000, "ETHUSDT": 200_000}
    assert limits.max_position["BTCUSDT"] == atoms("2", "BTC")
    assert limits.max_order_notional == 20_000 * MONEY_PER_UNIT
    assert limits.collar == 250_000
    assert limits.message_interval_ns == SECOND_NS * 2 // 5
    assert limits.min_order_interval_ns == SECOND_NS // 4
    assert limits.snapshot_max_age_ns == 60 * SECOND_NS
    assert limits.target_gross_fraction == Decimal("0.5")


def test_an_instrument_without_its_own_limit_is_bounded_by_value_alone() -> None:
    limits = parsed(max_order_qty={}, max_position={})
    assert limits.max_order_lots["BTCUSDT"] == BTC.max_lots
    assert limits.max_position["BTCUSDT"] == UNBOUNDED


@pytest.mark.parametrize("field", sorted(LIMITS))
def test_a_missing_limit_is_named(field: str) -> None:
    limits = {name: value for name, value in LIMITS.items() if name != field}
    with pytest.raises(LimitsError, match=field) as error:
        parse_limits(1, limits, [BTC])
    assert error.value.field == field


@pytest.mark.parametrize(
    ("changes", "field", "said"),
    [
        ({"max_order_qty": {"BTCUSDT": "0.000001"}}, "max_order_qty.BTCUSDT", "lots in quantity 0.000001"),
        ({"max_position": {"BTCUSDT": "0.000000001"}}, "max_position.BTCUSDT", "whole atoms in 1E-9 BTC"),
        ({"max_position": ["BTCUSDT"]}, "max_position", "expected an object"),
        ({"max_order_notional": 1.5}, "max_order_notional", "was 1.5"),
        ({"max_order_notional": True}, "max_order_notional", "was True"),
        ({"max_order_notional": "lots"}, "max_order_notional", "was 'lots'"),
        ({"max_order_notional": "NaN"}, "max_order_notional", "finite"),
        ({"max_order_notional": "-1"}, "max_order_notional", "non-negative"),
        ({"max_gross_notional": "0.00000000000000001"}, "max_gross_notional", "money units"),
        ({"max_open_orders": "1.5"}, "max_open_orders", "whole"),
        ({"max_orders_per_second": 0}, "max_orders_per_second", "positive"),
        ({"collar_bps": "0.00001"}, "collar_bps", "four decimals"),
        ({"restricted": "BTCUSDT"}, "restricted", "list of symbols"),
    ],
)
def test_an_unusable_limit_is_named_with_its_value(changes: dict[str, Any], field: str, said: str) -> None:
    with pytest.raises(LimitsError, match=said) as error:
        parsed(**changes)
    assert error.value.field == field


def test_the_digest_does_not_depend_on_the_order_of_fields() -> None:
    assert limits_digest(LIMITS) == limits_digest(dict(reversed(LIMITS.items())))
    assert limits_digest(LIMITS) != limits_digest({**LIMITS, "burst": 1})
