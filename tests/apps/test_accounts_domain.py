"""Recovery codes and waiting times, without a database."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.accounts.domain.codes import BYTES, code_digest, format_code, normalise_code
from apps.accounts.domain.throttle import CAP_S, FREE, wait_after


@given(st.binary(min_size=BYTES, max_size=BYTES), st.sampled_from(["-", " ", "", " - "]), st.booleans())
def test_a_code_is_read_as_it_was_shown_however_it_is_typed(entropy: bytes, gap: str, lower: bool) -> None:
    shown = format_code(entropy)
    typed = shown.replace("-", gap)
    typed = typed.lower() if lower else typed
    assert normalise_code(typed) == shown.replace("-", "")
    alike = shown.translate(str.maketrans("OIB", "018"))
    assert normalise_code(alike) == shown.replace("-", "")


@given(st.binary(min_size=BYTES, max_size=BYTES), st.binary(min_size=BYTES, max_size=BYTES))
def test_different_codes_people_and_peppers_have_different_hashes(one: bytes, two: bytes) -> None:
    left, right = (normalise_code(format_code(entropy)) or "" for entropy in (one, two))
    assert (code_digest(left, b"p", "ada") == code_digest(right, b"p", "ada")) == (one == two)
    assert code_digest(left, b"p", "ada") != code_digest(left, b"p", "eve")
    assert code_digest(left, b"p", "ada") != code_digest(left, b"q", "ada")


@given(st.text(max_size=40))
def test_other_text_is_no_code(text: str) -> None:
    read = normalise_code(text)
    assert read is None or len(read) == 23


def test_a_code_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 14 bytes, got 13"):
        format_code(bytes(13))


@given(st.integers(0, 10_000))
def test_waiting_grows_to_its_cap(failures: int) -> None:
    assert 0 <= wait_after(failures) <= wait_after(failures + 1) <= CAP_S
    assert (wait_after(failures) == 0) == (failures <= FREE)
