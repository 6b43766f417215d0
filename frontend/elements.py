"""Dash's elements, whose generated signatures know no ``data-`` attributes."""

from __future__ import annotations

from typing import Any, Final

import dash.dcc
import dash.html

html: Final[Any] = dash.html
dcc: Final[Any] = dash.dcc

Element = Any
"""What the layout functions return: a component of Dash."""
