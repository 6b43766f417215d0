"""Who this machine is in the fleet: an id in its state folder, the same after every restart."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import UUID

from apps.core.ids import new_id

FILE = "node-id"


def node_id(state: Path) -> UUID:
    """The id in ``state``, made at the first call. ValueError names the file when it holds something else."""
    path = state / FILE
    if not path.is_file():
        state.mkdir(parents=True, exist_ok=True)
        draft = state / f".{FILE}.{os.getpid()}"
        draft.write_text(f"{new_id()}\n", encoding="ascii")
        try:
            # A link refuses to replace: of two processes that start together, one id wins and both use it.
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    text = path.read_text(encoding="ascii").strip()
    try:
        return UUID(text)
    except ValueError as error:
        raise ValueError(f"expected a UUID in {path}, was {text!r}: delete the file to enrol as a new node") from error
