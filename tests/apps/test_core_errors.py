"""The error tree: every class has a code of its own and a place in the printed tree; sealing and ids beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.http import Http404
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st
from rest_framework.request import Request

from apps.core import crypto, errors
from apps.core.api.problems import exception_handler
from apps.core.ids import new_id


def tree(root: type[errors.DomainError]) -> Iterator[type[errors.DomainError]]:
    for child in root.__subclasses__():
        yield child
        yield from tree(child)


@pytest.mark.parametrize("kind", list(tree(errors.DomainError)), ids=lambda kind: kind.__name__)
def test_every_error_has_a_code_a_title_and_a_status(kind: type[errors.DomainError]) -> None:
    assert kind.code == kind.code.lower()
    assert kind.title
    assert 400 <= kind.status <= 503
    if kind.__module__ == errors.__name__:
        assert f" {kind.__name__} " in (errors.__doc__ or "")


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in tree(errors.DomainError)]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("error", [errors.Invalid("no", field="x"), Http404(), RuntimeError("a secret of ours")])
def test_every_exception_leaves_as_a_problem(error: Exception) -> None:
    request = Request(RequestFactory().get("/api/v1/x/"))
    answer = exception_handler(error, {"request": request})
    assert answer is not None
    assert answer.content_type == "application/problem+json"
    assert "a secret of ours" not in json.dumps(answer.data)
    assert answer.data["instance"] == "/api/v1/x/"


@given(st.binary(max_size=200))
def test_a_sealed_value_opens_in_its_place_alone(plain: bytes) -> None:
    place = ("app.Model", "field", "1")
    sealed = crypto.seal(plain, place=place)
    assert plain == crypto.unseal(sealed, place=place)
    assert sealed != crypto.seal(plain, place=place)
    for other in (("app.Model", "field", "2"), ("app.Model", "other", "1"), ("app.Other", "field", "1")):
        with pytest.raises(crypto.SealBroken):
            crypto.unseal(sealed, place=other)


@given(st.data())
def test_a_changed_sealed_value_does_not_open(data: st.DataObject) -> None:
    place = ("app.Model", "field", "1")
    sealed = bytearray(crypto.seal(b"plain", place=place))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(crypto.SealBroken):
        crypto.unseal(bytes(sealed), place=place)


def test_a_value_sealed_under_another_key_says_which(settings: Any) -> None:
    sealed = crypto.seal(b"plain", place=("app.Model", "field", "1"))
    settings.GEKKO_FIELD_KEY = bytes(32)
    with pytest.raises(crypto.SealBroken, match="sealed under key"):
        crypto.unseal(sealed, place=("app.Model", "field", "1"))


def test_ids_are_version_7_and_grow() -> None:
    made = [new_id() for _ in range(50)]
    assert {one.version for one in made} == {7}
    assert len(set(made)) == 50
    assert made[0].int >> 80 <= made[-1].int >> 80
