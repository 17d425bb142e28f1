"""Errors of the library name parameters; only the command line knows flags."""

import ast
import pickle
import re

import click
import pytest
from tests.cli.command import SOURCE

from tradefl.cli.flags import flags_of, with_flags
from tradefl.errors import InputError, Parameter, Problem

PACKAGE = SOURCE / "tradefl"
FLAG = re.compile(r"(^|[\s(`'\"])--[a-z]")
# Options of programs that the library starts or looks for: anvil, Flower, a browser.
OF_OTHERS = {
    *("--port", "--parent-pid"),
    *("--headless", "--disable-gpu", "--no-pdf-header-footer", "--user-data-dir="),
    *("--print-to-pdf=", "--no-sandbox"),
}
STARTS_AGENTS = "negotiation/processes.py"
# Of statements on pages, not of errors: what an interior optimum needs.
ON_PAGES = "--robust"
# What pages say, in another language: the reader of a page uses the command line.
TRANSLATED = "report/chinese.py"


def texts_of(path):
    """Every text of a module but its docstrings, with the line."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
            text = node.value if isinstance(node.value, str) else node.value.decode("latin-1")
            if id(node) not in docstrings and text not in OF_OTHERS:
                yield node.lineno, text


def test_no_text_of_the_library_names_a_flag():
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {text!r}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.relative_to(PACKAGE).parts[0] != "cli"
        and path.relative_to(PACKAGE).as_posix() not in (STARTS_AGENTS, TRANSLATED)
        for line, text in texts_of(path)
        if FLAG.search(text.replace(ON_PAGES, ""))
    ]
    assert found == []


def test_the_search_finds_a_flag(tmp_path):
    module = tmp_path / "module.py"
    module.write_text('"""Docs: --this."""\nraise ValueError(f"{1}; give --attestations")\n')
    assert [line for line, text in texts_of(module) if FLAG.search(text)] == [2]


OPTIONS = [
    click.Option(["--lr", "--learning-rate", "learning_rate"]),
    click.Option(["--data", "-d"]),
    click.Option(["--state", "state_folder"]),
    click.Option(["--from-block"]),
    click.Option(["--max-fee"]),
    click.Argument(["file"]),
]


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (Problem(Parameter("learning_rate"), "wrong"), "--lr: wrong"),
        (Problem(Parameter("data", "mnist"), "wrong"), "--data mnist: wrong"),
        (Problem(Parameter("state"), "wrong"), "--state: wrong"),
        (Problem(Parameter("first_block"), "wrong"), "--from-block: wrong"),
        (Problem(Parameter("alpha"), "no such option here"), "alpha: no such option here"),
        (Problem("data", "a file of that name"), "data: a file of that name"),
        (Problem("node", "raise `max_fee`, or `width`"), "node: raise --max-fee, or `width`"),
        (Problem("node", "see `tradefl design`"), "node: see `tradefl design`"),
    ],
)
def test_parameters_become_the_flags_of_the_command(problem, line):
    assert with_flags(InputError([problem]), flags_of(OPTIONS)).lines() == [line]


def test_a_parameter_survives_the_way_to_another_process():
    for place in (Parameter("data", "mnist"), Parameter("rpc")):
        again = pickle.loads(pickle.dumps(place))  # noqa: S301
        assert (again, again.name) == (place, place.name)
        assert isinstance(again, Parameter)


def test_a_problem_in_other_words_keeps_its_parameter():
    problem = Problem(Parameter("rpc"), "key=1").rewritten(lambda text: text.replace("1", "..."))
    assert isinstance(problem.place, Parameter)
    assert problem.message == "key=..."
