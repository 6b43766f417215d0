"""Canonical bytes: the same for the same meaning, different for different meanings, and stable through JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.audit.domain.canonical import NotAuditable, canonical_bytes, plain_json, utc_text
from apps.audit.redaction import REDACTED, is_secret, redact

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.datetimes(timezones=st.just(UTC))
    | st.uuids(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_plain_values_survive_json(value: object) -> None:
    plain = plain_json(value)
    assert json.loads(canonical_bytes({"x": plain})) == {"x": plain}
    assert plain_json(plain) == plain


@given(st.dictionaries(st.text(), st.integers(), max_size=8))
def test_the_order_of_keys_does_not_matter(value: dict[str, int]) -> None:
    assert canonical_bytes(value) == canonical_bytes(dict(reversed(value.items())))


@given(json_values, json_values)
def test_different_values_have_different_bytes(left: object, right: object) -> None:
    one, two = plain_json(left), plain_json(right)
    # bool is an int in Python, yet not in JSON
    if json.dumps(one, sort_keys=True) != json.dumps(two, sort_keys=True):
        assert canonical_bytes({"x": one}) != canonical_bytes({"x": two})


@given(st.datetimes(), st.integers(-14 * 60, 14 * 60))
def test_times_are_told_in_utc(at: datetime, offset: int) -> None:
    here = at.replace(year=2026, tzinfo=timezone(timedelta(minutes=offset)), day=1)
    assert utc_text(here) == utc_text(here.astimezone(UTC))
    assert datetime.fromisoformat(utc_text(here)) == here


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Decimal("1E+2"), "100"),
        (Decimal("0.10"), "0.10"),
        (1e22, "1e+22"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (timedelta(minutes=2), "120.0s"),
    ],
)
def test_values_with_a_declared_form(value: object, text: str) -> None:
    assert plain_json(value) == text


@pytest.mark.parametrize("value", [b"", bytearray(b"x"), object(), {1}, Decimal("NaN"), float("-inf"), {1: "x"}, 1j])
def test_other_values_are_refused(value: object) -> None:
    with pytest.raises(NotAuditable):
        plain_json({"x": value})


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(NotAuditable, match="aware"):
        plain_json(datetime(2026, 1, 5))  # noqa: DTZ001 - this is the point


@given(st.text(), st.sampled_from(["password", "API_KEY", "totp-secret", "recovery_codes", "listen_key"]))
def test_secrets_never_come_through(secret: str, name: str) -> None:
    nested = {"outer": [{"inner": {name: secret}}]}
    assert is_secret(name)
    assert redact(nested) == {"outer": [{"inner": {name: REDACTED}}]}
