"""Input that nobody means: every endpoint refuses it in words, and none breaks."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from apps.accounts.domain.roles import Role
from apps.core.context import service_context
from apps.core.errors import Invalid
from apps.core.money import parse_decimal
from apps.trading.services import project
from tests.factories import journal
from tests.factories.people import Browser, make_person, signed_in

pytestmark = pytest.mark.django_db

SCHEMA: Final = yaml.safe_load((Path(__file__).parents[2] / "docs" / "openapi.yaml").read_text())
ENDING: Final = {"/api/v1/auth/sign-out/"}
"""What would end the session that asks."""
DEEP: Final = "[" * 5000 + "]" * 5000
NOT_SO_DEEP: Final = '{"a":' * 60 + "1" + "}" * 60
ODD_TEXTS: Final = ("\0", "\ud800", "9" * 400, "1e400", "-0", "\u0661", "a" * 5000)
HOSTILE: Final[list[Any]] = [*ODD_TEXTS, None, [], {"a": {"b": []}}, True, 1e308]


@pytest.fixture
def browser() -> Browser:
    project(service_context("projector"), worker="w", records=journal.records(journal.trading_day(3, 4)))
    return signed_in(make_person("ann", *Role))


def operations(*methods: str) -> list[tuple[str, str, dict[str, Any]]]:
    """(method, path, operation) of the API but for what would end the session that asks."""
    return [
        (method.upper(), path, operation)
        for path, item in SCHEMA["paths"].items()
        for method, operation in item.items()
        if method in methods and path not in ENDING
    ]


def send(browser: Browser, method: str, path: str, body: str) -> None:
    headers = {"X-CSRFToken": browser.csrf(), "Idempotency-Key": "hostile-input-1"}
    answer = browser.generic(method, filled(path, "1"), body, content_type="application/json", headers=headers)
    assert answer.status_code < 500, (path, answer.content)


def filled(path: str, text: str) -> str:
    parts = path.split("{")
    return parts[0] + "".join(text + part.split("}")[1] for part in parts[1:])


@pytest.mark.parametrize("text", ["%00", "a%00b", "%F0%9F%92%A9", "..", "9" * 300])
def test_no_address_breaks_the_server(browser: Browser, text: str) -> None:
    for _, path, operation in operations("get"):
        answer = browser.get(filled(path, text))
        assert answer.status_code < 500, (path, answer.content)
        asked = [one["name"] for one in operation.get("parameters", []) if one["in"] == "query"]
        for name in asked:
            again = browser.get(f"{path}?{name}={text}") if "{" not in path else None
            assert again is None or again.status_code < 500, (path, name, again.content)


@pytest.mark.parametrize("cursor", ["cD0lMDA=", "cD1hYmM=", "bz05OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "%00", "!!"])
def test_no_cursor_breaks_a_list(browser: Browser, cursor: str) -> None:
    for _, path, operation in operations("get"):
        if any(one["name"] == "cursor" for one in operation.get("parameters", [])) and "{" not in path:
            answer = browser.get(f"{path}?cursor={cursor}")
            assert answer.status_code < 500, (path, answer.content)


def fields_of(operation: dict[str, Any]) -> list[str]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    return list(SCHEMA["components"]["schemas"].get(name, {}).get("properties", {}))


@pytest.mark.parametrize("body", [DEEP, NOT_SO_DEEP, "[", '"text"', "null", '{"a": NaN}', "\ufeff{}"])
def test_no_body_breaks_the_server(browser: Browser, body: str) -> None:
    for method, path, _ in operations("post", "put", "patch"):
        send(browser, method, path, body)


@pytest.mark.parametrize("value", HOSTILE)
def test_no_value_of_a_field_breaks_the_server(browser: Browser, value: Any) -> None:
    for method, path, operation in operations("post", "put", "patch"):
        fields = fields_of(operation)
        send(browser, method, path, json.dumps(dict.fromkeys(fields, value)))


@pytest.mark.parametrize(
    "value", ["1_000", "\u0663", "\uff11", "1e3", "nan", "", " 1", "1\n", "0x1", "9" * 21, 1.5, True, None]
)
def test_only_a_plain_decimal_is_an_amount(value: Any) -> None:
    with pytest.raises(Invalid, match="expected a decimal as text"):
        parse_decimal(value, "price")


@pytest.mark.parametrize("value", ["0", "-12.5", "+3", "0.000000000000000001", "9" * 20, 7, Decimal("1E+3")])
def test_an_amount_is_taken_exactly(value: Any) -> None:
    assert parse_decimal(value, "price") == Decimal(value)
