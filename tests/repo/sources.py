"""The package's own source, read as syntax trees: importing it would already run it."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

__all__ = ["PACKAGE", "ROOT", "imported_names", "modules", "tree", "uses_of"]

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "kavach_ipy"


def modules() -> list[str]:
    """Every module of the package as a path below it, such as ``linux/_libc.py``."""
    return sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


@functools.cache
def tree(module: str) -> ast.Module:
    """The syntax tree of `module`."""
    return ast.parse((PACKAGE / module).read_text(encoding="utf-8"), filename=module)


def imported_names(module: str) -> set[str]:
    """Every dotted name that `module` imports, at any depth of it, and by ``import_module``."""
    found: set[str] = set()
    for node in ast.walk(tree(module)):
        match node:
            case ast.Import(names=names):
                found |= {alias.name for alias in names}
            case ast.ImportFrom(module=str(source), names=names):
                found |= {source} | {f"{source}.{alias.name}" for alias in names}
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module")
                | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                found.add(name)
            case _:
                pass
    return found


def uses_of(module: str, *dotted: str) -> list[str]:
    """Where `module` names one of `dotted` (``pickle.loads``), under whatever alias it took it."""
    aliases: dict[str, str] = {}
    for node in ast.walk(tree(module)):
        match node:
            case ast.Import(names=names):
                aliases |= {alias.asname or alias.name: alias.name for alias in names}
            case ast.ImportFrom(module=str(source), names=names):
                aliases |= {alias.asname or alias.name: f"{source}.{alias.name}" for alias in names}
            case _:
                pass
    found = []
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Attribute | ast.Name):
            name = _resolved(node, aliases)
            if name in dotted:
                found.append(f"{module}:{node.lineno} {name}")
    return found


def _resolved(node: ast.expr, aliases: dict[str, str]) -> str:
    match node:
        case ast.Name(id=name):
            return aliases.get(name, name)
        case ast.Attribute(value=value, attr=attribute):
            plain = ast.unparse(node)
            return aliases.get(plain, f"{_resolved(value, aliases)}.{attribute}")
        case _:
            return ""
