"""Idempotency keys, versions, problems, ids and rates, as every endpoint of the API has them."""

from __future__ import annotations

import threading
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client, RequestFactory
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.models import ApiToken
from apps.audit.models import AuditEntry
from apps.core import services as core
from apps.core.api.idempotency import HEADER, REPLAYED
from apps.core.api.problems import flatten
from apps.core.api.versions import check_version, required_version, with_etag
from apps.core.clock import FrozenClock
from apps.core.context import service_context
from apps.core.errors import Invalid, PreconditionMissing, StaleVersion
from apps.core.models import IdempotencyRecord, OutboxMessage
from apps.core.tracing import request_id_of, trace_id_of
from tests.factories.people import Browser, make_person, signed_in

TOKENS = "/api/v1/auth/tokens/"
BODY = {"name": "ci", "scopes": ["audit.view"]}


@pytest.fixture
def browser(db: None) -> Browser:
    return signed_in(make_person("aud", "auditor"))


def test_a_change_needs_a_key(browser: Browser) -> None:
    for key in ("short", "with space in it", "é" * 10, "x" * 129):
        answer = browser.send(TOKENS, BODY, key=key)
        assert (answer.status_code, answer.json()["fields"]) == (400, {"field": HEADER})
    assert ApiToken.objects.count() == 0


def test_the_same_key_with_another_request_is_a_mismatch(browser: Browser) -> None:
    assert browser.send(TOKENS, BODY, key="same-key").status_code == 201
    answer = browser.send(TOKENS, {**BODY, "name": "other"}, key="same-key")
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_mismatch")
    assert ApiToken.objects.count() == 1


def test_another_callers_same_key_is_another_request(browser: Browser) -> None:
    assert browser.send(TOKENS, BODY, key="same-key").status_code == 201
    other = signed_in(make_person("aud2", "auditor"))
    answer = other.send(TOKENS, BODY, key="same-key")
    assert answer.status_code == 201
    assert REPLAYED not in answer


def test_a_refused_request_frees_its_key(browser: Browser) -> None:
    assert browser.send(TOKENS, {"name": "ci", "scopes": ["no.such"]}, key="retry-key").status_code == 400
    assert browser.send(TOKENS, BODY, key="retry-key").status_code == 201


def test_the_stored_answer_is_sealed(browser: Browser) -> None:
    token = browser.send(TOKENS, BODY).json()["token"]
    assert token.encode() not in bytes(IdempotencyRecord.objects.get().body)


@pytest.mark.django_db(transaction=True)
def test_a_request_that_is_repeated_while_it_runs_happens_once() -> None:
    first = signed_in(make_person("aud", "auditor"))
    cookies = {name: morsel.value for name, morsel in first.cookies.items()}
    answers: list[Any] = []
    start = threading.Barrier(6)

    def run() -> None:
        client = Browser()
        for name, value in cookies.items():
            client.cookies[name] = value
        start.wait()
        answers.append(client.send(TOKENS, BODY, key="raced-key"))
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ApiToken.objects.count() == 1
    assert {answer.status_code for answer in answers} <= {201, 409}
    refused = {answer.json()["code"] for answer in answers if answer.status_code == 409}
    assert refused <= {"idempotency_in_progress"}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1


def asked(**headers: str) -> Request:
    return Request(RequestFactory().post("/", headers=headers))


def test_a_version_is_required_and_compared() -> None:
    with pytest.raises(PreconditionMissing):
        required_version(asked())
    for text in ("7", 'W/"7"', '"x"', "*", '"7", "8"'):
        with pytest.raises(Invalid):
            required_version(asked(**{"If-Match": text}))
    assert required_version(asked(**{"If-Match": '"7"'})) == 7
    check_version(expected=7, actual=7)
    with pytest.raises(StaleVersion) as refused:
        check_version(expected=7, actual=8)
    assert (refused.value.status, refused.value.fields) == (412, {"expected": 7, "actual": 8})
    assert with_etag(Response({"version": 8})).headers["ETag"] == '"8"'


class Inner(serializers.Serializer[Any]):
    value = serializers.IntegerField()


class Outer(serializers.Serializer[Any]):
    name = serializers.CharField()
    limits = Inner(many=True)


def test_problems_name_every_field_by_its_path() -> None:
    read = Outer(data={"limits": [{"value": 1}, {"value": "x"}]})
    assert not read.is_valid()
    with pytest.raises(serializers.ValidationError) as refused:
        read.is_valid(raise_exception=True)
    assert flatten(refused.value.get_full_details()) == {
        "name": ["This field is required."],
        "limits.1.value": ["A valid integer is required."],
    }


def test_a_problem_has_every_part(browser: Browser) -> None:
    answer = browser.send(TOKENS, {"name": ""})
    body = answer.json()
    assert answer["Content-Type"] == "application/problem+json"
    assert set(body) == {"type", "status", "code", "title", "detail", "fields", "request_id", "instance"}
    assert (body["status"], body["code"], body["instance"]) == (400, "invalid", TOKENS)
    assert set(body["fields"]) == {"name", "scopes"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("PUT", TOKENS, 405), ("GET", "/api/v1/users/not-a-uuid/", 404)],
)
def test_refusals_of_the_framework_are_problems_too(browser: Browser, method: str, path: str, status: int) -> None:
    answer = browser.send(path, method=method)
    assert answer.status_code == status


def test_a_body_that_is_no_json_is_a_problem(browser: Browser) -> None:
    headers = {"X-CSRFToken": browser.csrf(), "Idempotency-Key": "12345678"}
    answer = browser.generic("POST", TOKENS, "{", content_type="application/json", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    answer = browser.generic("POST", TOKENS, "<x/>", content_type="text/xml", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_request_and_trace_ids_go_in_and_out() -> None:
    wanted = uuid.uuid4()
    answer = Client().get("/api/v1/auth/state/", headers={"X-Request-ID": str(wanted)})
    assert answer["X-Request-ID"] == str(wanted)
    assert uuid.UUID(Client().get("/api/v1/auth/state/", headers={"X-Request-ID": "drop table"})["X-Request-ID"])


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", True),
        ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", True),
        ("ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", False),
        ("00-00000000000000000000000000000000-00f067aa0ba902b7-01", False),
        ("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", False),
        ("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", False),
        ("", False),
    ],
)
def test_w3c_trace_context(header: str, kept: bool) -> None:
    found = trace_id_of(header)
    assert (found == "4bf92f3577b34da6a3ce929d0e0e4736") == kept
    assert len(found) == 32
    assert request_id_of(str(uuid.UUID(int=5))) == uuid.UUID(int=5)


def test_too_many_requests_say_when_to_come_back(browser: Browser, settings: Any) -> None:
    cache.clear()
    settings.GEKKO_THROTTLES = {"read": "2/min"}
    assert [browser.get(TOKENS).status_code for _ in range(3)] == [200, 200, 429]
    answer = browser.get(TOKENS)
    assert answer.json()["code"] == "throttled"
    assert answer["Retry-After"] == str(answer.json()["fields"]["retry_after_s"])
    cache.clear()


@pytest.mark.django_db
def test_the_sweep_removes_what_is_past_its_time_and_keeps_the_counters() -> None:
    clock = FrozenClock()
    ctx = service_context("core", clock=clock)
    for seq in range(1, 4):
        OutboxMessage.objects.create(
            topic="orders", kind="x", key="k", data={}, created_at=clock.now(), seq=seq, published_at=clock.now()
        )
    OutboxMessage.objects.create(topic="orders", kind="x", key="k", data={}, created_at=clock.now())
    clock.advance(days=8)
    assert core.sweep(ctx).outbox == 2
    assert list(OutboxMessage.objects.order_by("pk").values_list("seq", flat=True)) == [3, None]
    IdempotencyRecord.objects.create(
        actor="a", key="k", request_hash="h", status=200, body=b"", created_at=clock.now() - timedelta(hours=25)
    )
    assert core.sweep(ctx).idempotency == 1


@pytest.mark.django_db(transaction=True)
def test_a_refused_change_leaves_its_refusal_and_nothing_else() -> None:
    browser = signed_in(make_person("vic", "viewer"))
    answer = browser.send(TOKENS, {"name": "ci", "scopes": ["trading.view"]}, key="refused-key")
    assert answer.status_code == 403
    assert (ApiToken.objects.count(), IdempotencyRecord.objects.count()) == (0, 0)
    row = AuditEntry.objects.latest("seq")
    assert (row.event, row.outcome) == ("accounts.permission.denied", "denied")
    assert str(row.request_id) == answer.json()["request_id"]
