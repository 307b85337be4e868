"""The tree is enforced: what each part may import, who commits, who publishes, how long a file may be."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CODE = ("services", "shared", "cli", "deploy")
SERVICES = ("intake", "review", "funding", "notify", "ops")
LONGEST_FILE = 400
LONGEST_FUNCTION = 60


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("service", SERVICES)
def test_a_domain_imports_the_standard_library_and_itself(service: str) -> None:
    own = f"services.{service}.domain"
    foreign = [
        (relative(path), name)
        for path in sources(f"services/{service}/domain")
        for name in imported(path)
        if not name.startswith((own, ".")) and name.split(".")[0] not in sys.stdlib_module_names
    ]
    assert foreign == []


def test_imports_keep_to_the_layers() -> None:
    checked = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout


def calls(path: Path, names: set[str]) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in names:
            yield f"{relative(path)}:{node.lineno} {node.func.attr}"


def test_nothing_but_the_database_module_commits() -> None:
    found = [call for path in sources("services", "shared") for call in calls(path, {"commit", "rollback"})]
    assert {call.partition(":")[0] for call in found} == {"shared/db.py"}


def test_nothing_but_the_database_module_opens_sessions_or_engines() -> None:
    allowed = {"shared/db.py", "shared/migrations/env.py"}
    names = {"create_async_engine", "AsyncSession", "create_engine"}
    found = {
        relative(path)
        for path in sources("services", "shared")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names
    }
    assert found <= allowed


def test_nothing_but_the_relay_publishes() -> None:
    publishers = {
        relative(path)
        for path in sources("services", "shared")
        if any("AIOKafkaProducer" in line for line in path.read_text(encoding="utf-8").splitlines())
    }
    assert publishers == {"shared/messaging/relay.py"}
    found = [call for path in sources("services", "shared") for call in calls(path, {"publish", "publish_batch"})]
    assert found == []


def test_nothing_waits_in_a_way_that_swallows_a_cancellation() -> None:
    found = [call for path in sources(*CODE) for call in calls(path, {"wait_for"})]
    assert found == []  # `asyncio.timeout` instead: see `shared/tasks.py`


def test_services_have_the_same_files() -> None:
    for service in SERVICES:
        folder = ROOT / "services" / service
        for name in ("__main__.py", "app.py", "api.py", "consumers.py", "handlers.py", "store.py"):
            assert (folder / name).exists() or (folder / name.removesuffix(".py")).is_dir(), f"{service} lacks {name}"


def test_no_file_is_longer_than_a_reader_follows() -> None:
    long = {
        relative(path): lines
        for path in sources(*CODE, "tests")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST_FILE
    }
    assert long == {}


def test_no_function_needs_scrolling() -> None:
    long = [
        f"{relative(path)}:{node.lineno} {node.name}"
        for path in sources(*CODE)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > LONGEST_FUNCTION
    ]
    assert long == []


def test_every_module_says_what_it_owns() -> None:
    silent = [
        relative(path)
        for path in sources(*CODE)
        if path.name != "__init__.py"
        and path.read_text(encoding="utf-8").strip()
        and ast.get_docstring(tree(path)) is None
    ]
    assert silent == []


def test_the_way_of_the_data_names_files_that_exist() -> None:
    named = set(re.findall(r"`((?:services|shared|cli|data|docs)/[\w./-]+)`", (ROOT / "docs/data-path.md").read_text()))
    assert len(named) > 30
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_the_way_of_the_data_names_every_file_that_an_event_comes_from() -> None:
    way = (ROOT / "docs/data-path.md").read_text(encoding="utf-8")
    emitting = [relative(path) for path in sources("services") if "outbox.record" in path.read_text(encoding="utf-8")]
    assert len(emitting) > 10
    assert [path for path in emitting if f"`{path}`" not in way] == []


def test_nothing_is_installed_that_no_lock_names_with_its_hash() -> None:
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    installs = [line for line in lines if "pip install" in line and "--require-hashes" not in line]
    assert len(installs) == 1, "the project itself, which has no hash: it brings nothing along"
    assert "--offline --no-build-isolation --no-deps --editable ." in installs[0]
    for lock in ("requirements.lock", "requirements-dev.lock"):
        assert re.search(r"^setuptools==\S+ \\$", (ROOT / lock).read_text(encoding="utf-8"), re.MULTILINE), lock
