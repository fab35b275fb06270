"""Code rules that no linter knows: each takes a parsed file and yields what is wrong with it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import PurePosixPath

Fault = tuple[int, str]

FORBIDDEN_CALLS = {
    "eval": "runs what a user sent",
    "exec": "runs what a user sent",
    "pickle.load": "unpickling runs code",
    "pickle.loads": "unpickling runs code",
    "cloudpickle.load": "unpickling runs code",
    "cloudpickle.loads": "unpickling runs code",
    "joblib.load": "unpickling runs code",
    "torch.load": "unpickling runs code; weights are safetensors",
    "yaml.load": "builds any object; use yaml.safe_load",
}
QUERY_BUILDERS = {"select", "insert", "update", "delete", "text"}
MAY_QUERY = ("core/db/", "core/services/", "core/storage/", "migrations/")
MAY_COMMIT = ("core/db/session.py",)
# entry points alone: `netmill --help` must not wait for what one command needs, the child that reads
# one upload not for the libraries of other formats, the worker starts its zygote before all else
MAY_IMPORT_LATE = (
    "core/data/child.py",
    "embedded/command.py",
    "sdk/netmill/cli.py",
    "sdk/netmill/commands/",
    "worker/__main__.py",
)
ROUTE_LINES = 15


def _dotted(node: ast.expr) -> str:
    """`a.b.c` of a name or attribute, '' of anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (head := _dotted(node.value)):
        return f"{head}.{node.attr}"
    return ""


def commits(tree: ast.Module, path: str) -> Iterator[Fault]:
    """One place commits, so that one request or one task is one transaction."""
    if path in MAY_COMMIT:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "commit":
            yield node.lineno, f"commit() stands in {MAY_COMMIT[0]} alone; use its transaction()"


def queries(tree: ast.Module, path: str) -> Iterator[Fault]:
    """Queries are written where the principal is known to be asked for."""
    if path.startswith(MAY_QUERY):
        return
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.asname or alias.name for alias in node.names if alias.name.split(".")[0] == "sqlalchemy"}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sqlalchemy":
            for name in QUERY_BUILDERS & {alias.name for alias in node.names}:
                yield node.lineno, f"sqlalchemy's {name} is for core/services and core/db"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in QUERY_BUILDERS and _dotted(node.value) in modules:
            yield node.lineno, f"sqlalchemy's {node.attr} is for core/services and core/db"


def dangerous_calls(tree: ast.Module, path: str) -> Iterator[Fault]:
    """Nothing that a user sends is ever run or unpickled."""
    del path
    origin: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            origin |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and node.module:
            origin |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        head, _, rest = _dotted(node.func).partition(".")
        name = origin.get(head, head) + (f".{rest}" if rest else "")
        if name in FORBIDDEN_CALLS:
            yield node.lineno, f"{name}: {FORBIDDEN_CALLS[name]}"
        for keyword in node.keywords:
            if keyword.arg == "allow_pickle" and not (
                isinstance(keyword.value, ast.Constant) and keyword.value.value is False
            ):
                yield node.lineno, "allow_pickle is False or absent: unpickling runs code"


def late_imports(tree: ast.Module, path: str) -> Iterator[Fault]:
    """An import inside a function hides a dependency from its reader and from import-linter."""
    if path.startswith(MAY_IMPORT_LATE):
        return
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    yield node.lineno, f"import inside {function.name}(): it belongs at the top of the file"


def long_routes(tree: ast.Module, path: str) -> Iterator[Fault]:
    """A route parses, calls one service and fills one schema; what is longer belongs to core/services."""
    if PurePosixPath(path).parent != PurePosixPath("api/routes"):
        return
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            body = function.body[1:] if ast.get_docstring(function) is not None else function.body
            if body and (lines := (function.end_lineno or 0) - body[0].lineno + 1) > ROUTE_LINES:
                yield function.lineno, f"{function.name}() has {lines} lines of body, {ROUTE_LINES} are the most"


RULES = (commits, queries, dangerous_calls, late_imports, long_routes)
