"""Browser libraries: copied whole, and a missing one is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from frontend import vendor


def test_every_file_is_copied_and_a_missing_one_is_named(tmp_path: Path) -> None:
    source = tmp_path / "node_modules"
    for name in vendor.FILES:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    made = vendor.copy(source, tmp_path / "static")
    assert [path.read_text() for path in made] == list(vendor.FILES)
    missing = source / next(iter(vendor.FILES))
    missing.unlink()
    with pytest.raises(FileNotFoundError) as told:
        vendor.copy(source, tmp_path / "static")
    assert str(told.value.filename) == str(missing)


def test_the_lock_names_no_registry_and_pins_what_the_package_asks_for() -> None:
    lock = json.loads((vendor.HERE / "package-lock.json").read_text())
    wanted = json.loads((vendor.HERE / "package.json").read_text())
    for name in [*wanted["dependencies"], *wanted["devDependencies"]]:
        found = lock["packages"][f"node_modules/{name}"]
        assert found["integrity"].startswith("sha512-")
        assert "resolved" not in found
