"""The OpenAPI document: complete, without warnings, and only for signed-in callers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.validation import validate_schema

from tests.factories.people import make_person, signed_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def document() -> dict[str, Any]:
    GENERATOR_STATS.reset()
    answer = signed_in(make_person("ada")).get("/api/v1/schema/?format=json")
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def test_the_schema_is_valid_and_complete(document: dict[str, Any]) -> None:
    validate_schema(document)
    assert "/api/v1/audit/entries/" in document["paths"]
    assert "/api/v1/auth/step-up/" in document["paths"]


def test_nothing_had_to_be_guessed(document: dict[str, Any]) -> None:
    said = {**GENERATOR_STATS._error_cache, **GENERATOR_STATS._warn_cache}
    assert said == {}


def test_every_operation_tells_of_problems_and_of_keys(document: dict[str, Any]) -> None:
    for path in document["paths"].values():
        for operation in path.values():
            assert "application/problem+json" in operation["responses"]["default"]["content"]
    issue = document["paths"]["/api/v1/auth/tokens/"]["post"]
    assert "Idempotency-Key" in [parameter["name"] for parameter in issue["parameters"]]


def test_the_schema_is_not_for_everybody() -> None:
    assert Client().get("/api/v1/schema/").status_code == 401


def test_the_written_document_is_the_present_one(tmp_path: Path) -> None:
    """After a change of the API: ``make schema``."""
    written = Path(__file__).parents[2] / "docs" / "openapi.yaml"
    call_command("spectacular", file=str(tmp_path / "now.yaml"))
    assert (tmp_path / "now.yaml").read_text() == written.read_text()
