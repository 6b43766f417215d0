"""Rules of the house that no linter knows."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PURE = [*ROOT.glob("workers/engine/**/*.py"), *ROOT.glob("apps/*/domain/**/*.py")]
PRODUCT = [
    path
    for top in ("apps", "controlplane", "frontend", "workers")
    for path in (ROOT / top).rglob("*.py")
    if "migrations" not in path.parts and "node_modules" not in path.parts
]
BANNED_CALLS = {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("date", "today"),
    ("time", "time"),
    ("time", "time_ns"),
    ("time", "monotonic"),
    ("uuid", "uuid4"),
    ("uuid", "uuid1"),
}
LARGEST_FILE = 500
LARGEST_FUNCTION = 60


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


def calls(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
            yield node.lineno, name, node.func.attr


def is_chance(module: str) -> bool:
    return module.split(".", 1)[0] in ("random", "secrets")


def banned_in(source: str) -> list[tuple[int, str]]:
    """Lines of ``source`` that read a clock or make randomness without being given it."""
    tree = ast.parse(source)
    found = [(line, f"{owner}.{name}") for line, owner, name in calls(tree) if (owner, name) in BANNED_CALLS]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, f"import {alias.name}") for alias in node.names if is_chance(alias.name)]
        elif isinstance(node, ast.ImportFrom) and is_chance(node.module or ""):
            found.append((node.lineno, f"import {node.module}"))
    return found


@pytest.mark.parametrize("path", PURE, ids=relative)
def test_time_and_chance_are_arguments_of_the_pure_core(path: Path) -> None:
    assert banned_in(path.read_text()) == []


def test_the_check_for_clocks_and_chance_finds_them() -> None:
    source = "import random\nfrom datetime import datetime\nx = datetime.now()\nimport time\ny = time.time_ns()\n"
    assert [line for line, _ in banned_in(source)] == [3, 5, 1]


@pytest.mark.parametrize("path", PRODUCT, ids=relative)
def test_files_and_functions_stay_small(path: Path) -> None:
    source = path.read_text()
    assert source.count("\n") <= LARGEST_FILE
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            assert size <= LARGEST_FUNCTION, f"{node.name} has {size} lines"


ANATOMY = ("apps.py", "models", "services", "selectors", "events.py", "admin.py", "api/urls.py", "migrations")
WITHOUT_RECORDS = {"streaming"}


@pytest.mark.parametrize("app", sorted(p.parent.name for p in ROOT.glob("apps/*/apps.py")))
def test_every_app_has_the_same_anatomy(app: str) -> None:
    folder = ROOT / "apps" / app
    wanted = ("apps.py", "api/urls.py") if app in WITHOUT_RECORDS or app == "core" else ANATOMY
    missing = [name for name in wanted if not ((folder / name).exists() or (folder / f"{name}.py").exists())]
    assert missing == []


def test_task_bodies_are_thin() -> None:
    """A task calls one service; what it does lives there."""
    fat = []
    for path in [*ROOT.glob("apps/*/tasks.py"), *ROOT.glob("workers/tasks/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and any("task" in ast.unparse(d) for d in node.decorator_list):
                size = (node.end_lineno or node.lineno) - node.body[0].lineno + 1
                if size > 25:
                    fat.append(f"{relative(path)}:{node.name} has {size} lines")
    assert fat == []


def tracked_text() -> Iterator[tuple[str, str]]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    for name in listed.stdout.decode().split("\0"):
        path = ROOT / name
        if name and path.is_file() and path.suffix not in (".png", ".lock", ".svg"):
            yield name, path.read_text(errors="replace")


def test_the_tree_names_no_machine_and_no_registry() -> None:
    pattern = re.compile(r"/[w]ork/|[p]ypi\.org|[d]ebian\.org|[r]egistry\.npmjs")
    assert [name for name, text in tracked_text() if pattern.search(text)] == []


def test_nothing_is_left_for_later() -> None:
    pattern = re.compile("[T]ODO|[F]IXME|[X]XX|[r]aise NotImplementedError")
    assert [name for name, text in tracked_text() if name.endswith(".py") and pattern.search(text)] == []
