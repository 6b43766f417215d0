"""What pages may load: everything from this host, no inline script, no eval, no inline style but Dash's own.

Dash and plotly put a dozen style sheets of their own into the page. Each is named by its hash; when an upgrade changes
one, the browser tests fail and Chromium's message names the hash to put here.
"""

from __future__ import annotations

from typing import Final

_NONE: Final = "'none'"
_SELF: Final = "'self'"

STYLE_HASHES: Final = (
    "'sha256-+QoPrsxO0auPnxSulD3bAr9CoDGgzv7YRfYE0vfxeQI='",
    "'sha256-0IJGrxhCP5NUIafylLkj5118xkZH1kp5FmNio7NOckI='",
    "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
    "'sha256-Aq43X0SlmB69maWGob4rp/UuSHhwePalkRRExtsxOJ8='",
    "'sha256-Do5Z9ZqsPvCQTUBQS9BnDm/2+on7omuzuLYk5sbA+2s='",
    "'sha256-ITR5T9OwskhdqdsliUJRmgp9ltOFAHgXe1F7eRvGnmQ='",
    "'sha256-MJs2ke1SA6Cy3tTCZu2QH0rj0r//iNqU0idy9bM4leg='",
    "'sha256-SkhFDxgIcEjMhRh19uSHWrkdnAlZ9rlskgr9yLsipa8='",
    "'sha256-VUA+tqvhK3niMn7AdszqidMFPRh9FLqxB2iINUrsiTw='",
    "'sha256-X2TqJwnIiE/ceDVeAdr7v7BOWBU6CEzE6qxlNzBzvBk='",
    "'sha256-Z8VokGxeiKThZOEmkdUgfW+jxbvItBwAXC8M1c4wqAM='",
    "'sha256-uDiOZWps1U7E8/0BTaQrclYMhVhRVE4dT0vb5X6nXOw='",
)
"""SHA-256 of the style sheets of dash 4.4.1 (renderer, core components); one is the empty sheet that plotly fills."""

DIRECTIVES: Final[dict[str, list[str]]] = {
    "default-src": [_NONE],
    "script-src": [_SELF],
    "style-src": [_SELF, *STYLE_HASHES],
    "img-src": [_SELF, "data:", "blob:"],
    "font-src": [_SELF],
    "connect-src": [_SELF],
    "manifest-src": [_SELF],
    "form-action": [_SELF],
    "base-uri": [_NONE],
    "object-src": [_NONE],
    "frame-ancestors": [_NONE],
}
