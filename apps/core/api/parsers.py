"""Reading JSON bodies: what no record can hold is refused here, before anything looks at it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any, Final

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

DEEPEST: Final = 32
"""No body of the API is nested as deeply."""


class JsonBody(JSONParser):
    """JSON of text that can be stored: no NUL, no half of a surrogate pair, nothing nested beyond ``DEEPEST``."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        try:
            body = super().parse(stream, media_type, parser_context)
        except RecursionError:
            raise ParseError(f"expected JSON nested at most {DEEPEST} deep") from None
        _check(body)
        return body


def _check(body: Any) -> None:
    todo: list[tuple[Any, int]] = [(body, 0)]
    while todo:
        value, depth = todo.pop()
        if depth > DEEPEST:
            raise ParseError(f"expected JSON nested at most {DEEPEST} deep")
        if isinstance(value, str):
            _check_text(value)
        elif isinstance(value, dict):
            todo += [(part, depth + 1) for pair in value.items() for part in pair]
        elif isinstance(value, list):
            todo += [(part, depth + 1) for part in value]


def _check_text(text: str) -> None:
    if "\0" in text:
        raise ParseError(f"expected text without NUL characters, was {text[:80]!r}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ParseError(f"expected text in Unicode, was {text[:80]!r}, which has half of a surrogate pair") from None
