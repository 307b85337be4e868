"""What benchmarks may know of each other, of tests and of the product, so that they measure what they say."""

import ast
import subprocess
import sys

from tests.architecture.test_the_tree import CODE, LONGEST_FILE, ROOT, imported, relative, sources, tree

CLIENTS = ("answered", "client", "load", "rush")
LONGEST_FUNCTION = 36


def test_tests_know_no_benchmark() -> None:
    found = [(relative(path), name) for path in sources("tests") for name in imported(path)]
    assert [(path, name) for path, name in found if name.split(".")[0] == "benchmarks"] == []


def test_baselines_share_no_code_with_the_product() -> None:
    found = [(relative(path), name) for path in sources("benchmarks/baselines") for name in imported(path)]
    own = "benchmarks.baselines"
    foreign = {*CODE, "tests", "benchmarks"}
    assert [each for each in found if each[1].split(".")[0] in foreign and not each[1].startswith(own)] == []


def test_clients_load_nothing_of_the_product() -> None:
    loaded = f"import sys, {', '.join(f'benchmarks.{each}' for each in CLIENTS)}; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, text=True, check=True)
    assert [name for name in told.stdout.split() if name.split(".")[0] in CODE] == []


def test_benchmarks_are_as_short_as_what_they_measure() -> None:
    files = {relative(path): len(path.read_text(encoding="utf-8").splitlines()) for path in sources("benchmarks")}
    assert {path: lines for path, lines in files.items() if lines > LONGEST_FILE} == {}
    functions = {
        f"{relative(path)}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in sources("benchmarks")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: lines for name, lines in functions.items() if lines > LONGEST_FUNCTION} == {}
