"""How the house is kept: imports without circles, loop variables with a name."""

from __future__ import annotations

import ast
from pathlib import Path

import grimp
import pytest

SOURCES = Path(__file__).parents[1] / "src" / "tradefl"


def circles(imports: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that import each other, directly or through others."""
    reached: dict[str, set[str]] = {}
    for module in imports:
        seen, ahead = set(), list(imports[module])
        while ahead:
            other = ahead.pop()
            if other not in seen:
                seen.add(other)
                ahead.extend(imports.get(other, ()))
        reached[module] = seen
    found = {
        tuple(sorted({module, *(other for other in reached[module] if module in reached[other])}))
        for module in imports
        if module in reached[module]
    }
    return [list(group) for group in sorted(found)]


def test_a_circle_is_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]


def test_no_module_imports_what_imports_it():
    graph = grimp.build_graph("tradefl", exclude_type_checking_imports=True, cache_dir=None)
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(imports) > 100
    assert circles(imports) == []


def unnamed(text: str) -> list[int]:
    """Return the lines on which a loop, a comprehension or a lambda calls its variable ``one``."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.For | ast.comprehension):
            names = {name.id for name in ast.walk(node.target) if isinstance(name, ast.Name)}
            found += [node.target.lineno] if "one" in names else []
        elif isinstance(node, ast.Lambda):
            found += [node.lineno] if any(a.arg == "one" for a in node.args.args) else []
    return found


@pytest.mark.parametrize(
    "text",
    ["for one in x: pass", "[one for one in x]", "f(key=lambda one: one)", "{a for a, one in x}"],
)
def test_a_variable_without_a_name_is_found(text):
    assert unnamed(text) == [1]


def test_loop_variables_say_what_they_are():
    files = sorted(SOURCES.rglob("*.py"))
    assert len(files) > 100
    assert {str(path): lines for path in files if (lines := unnamed(path.read_text("utf-8")))} == {}
