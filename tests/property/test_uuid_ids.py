"""Our client ids survive as UUIDs, and others' UUIDs are left alone."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.adapters.uuid_ids import from_uuid, to_uuid
from workers.engine.execution.client_ids import client_order_id


@given(st.text(max_size=20), st.integers(0, 2**20 - 1), st.integers(0, 2**40 - 1))
def test_there_and_back(run: str, epoch: int, number: int) -> None:
    client_id = client_order_id(run, epoch, number)
    told = to_uuid(client_id)
    assert (UUID(told).version, UUID(told).variant) == (8, "specified in RFC 4122")
    assert from_uuid(told) == client_id


@given(st.uuids(version=4))
def test_an_id_of_somebody_else_stays_what_it_is(other: UUID) -> None:
    assert from_uuid(str(other)) == str(other)


@pytest.mark.parametrize("text", ["", "web-1", "00000000-0000-8000-8000-000000000000"])
def test_what_is_none_of_ours_stays_what_it_is(text: str) -> None:
    assert from_uuid(text) == text


@pytest.mark.parametrize("text", ["other", client_order_id("run", 2**20, 1), client_order_id("run", 1, 2**40)])
def test_what_does_not_fit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        to_uuid(text)
