"""Commands from functions: types, defaults, ranges, several values, and the help."""

from __future__ import annotations

import ast
import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import click
import pytest
from tests.cli.command import run

from tradefl.cli import COMMANDS, app
from tradefl.cli.declaring import Argument, Option, command_of

SEEN: list[dict[str, Any]] = []


def sample(
    file: Annotated[Path, Argument(help="What to read.", show_default=False)],
    names: Annotated[list[str] | None, Argument(help="Which.", show_default=False)] = None,
    count: Annotated[int, Option("--count", "-c", help="How many.", min=1, max=9)] = 3,
    rate: Annotated[float | None, Option("--rate", help="How fast, per second.")] = None,
    tag: Annotated[list[str] | None, Option("--tag", help="A label; several times.")] = None,
    loud: Annotated[bool, Option("--loud", help="Say more.")] = False,
    kind: Annotated[str, Option("--kind", type=click.Choice(["a", "b"]), help="Which.")] = "a",
) -> None:
    """Do something.

    Example: sample x.toml
    """
    SEEN.append(dict(locals()))


def call(*arguments: str) -> dict[str, Any]:
    command_of(sample).main(list(arguments), standalone_mode=False)
    return SEEN.pop()


def test_defaults_are_those_of_the_function():
    assert call("x.toml") == {
        "file": Path("x.toml"),
        "names": None,
        "count": 3,
        "rate": None,
        "tag": None,
        "loud": False,
        "kind": "a",
    }


def test_values_have_the_annotated_types():
    got = call("x", "n1", "n2", "-c", "4", "--rate", "2", "--tag", "t", "--tag", "u", "--loud")
    assert got["names"] == ["n1", "n2"]
    assert (got["count"], got["rate"], got["loud"]) == (4, 2.0, True)
    assert isinstance(got["rate"], float)
    assert got["tag"] == ["t", "u"]


@pytest.mark.parametrize(
    "arguments", [(), ("x", "--count", "0"), ("x", "--kind", "c"), ("x", "--rate", "fast")]
)
def test_what_does_not_fit_is_wrong_usage(arguments):
    with pytest.raises(click.UsageError):
        call(*arguments)


def test_a_parameter_that_is_not_declared_is_an_error_of_the_programmer():
    def undeclared(file: Path) -> None:
        """Do nothing."""

    with pytest.raises(TypeError, match="file: expected Annotated"):
        command_of(undeclared)


def test_the_help_names_arguments_options_and_defaults():
    """Releases of Click differ in what they show of arguments."""
    text = command_of(sample).get_help(click.Context(command_of(sample), info_name="sample"))
    lines = [line.strip() for line in text.splitlines()]
    assert "Usage: sample [OPTIONS] FILE [NAMES]..." in lines
    assert "FILE      What to read. [required]" in lines
    assert any(line.startswith("-c, --count INTEGER RANGE") for line in lines)
    assert "How many.  [default: 3; 1<=x<=9]" in " ".join(lines)
    assert "Example: sample x.toml" in lines


@pytest.mark.parametrize("name", COMMANDS)
def test_every_parameter_of_every_command_has_a_help_text(name):
    context = click.Context(app)
    command = app.get_command(context, name.replace("_", "-"))
    assert command is not None
    assert command.params
    for parameter in command.params:
        text = getattr(parameter, "help", None)
        assert text, f"{name}: {parameter.name}"
        # A line may end within a word that has a hyphen.
        shown = "".join(run(name.replace("_", "-"), "--help").out.split())
        assert "".join(text.split()) in shown


@dataclasses.dataclass(frozen=True)
class Shared:
    """Options of several commands."""

    nodes: Annotated[list[str] | None, Option("--rpc", help="Nodes.")] = None
    blocks: Annotated[int, Option("--blocks", help="Blocks.")] = 2


def test_a_dataclass_is_the_options_that_commands_share():
    found = []

    def act(name: Annotated[str, Argument(help="Who.")], *, shared: Shared) -> None:
        found.append((name, shared))

    for given in ([], ["--rpc", "a", "--rpc", "b", "--blocks", "3"]):
        command_of(act).main(["Alpha", *given], standalone_mode=False)
    # What is not given several times is not given, as of a parameter of the command itself.
    assert found == [("Alpha", Shared(None, 2)), ("Alpha", Shared(["a", "b"], 3))]


def test_completion_scripts_are_printed():
    for shell in ("bash", "zsh", "fish"):
        ran = run("--show-completion", shell)
        assert ran.code == 0
        assert "_TRADEFL_COMPLETE" in ran.out


def test_starting_imports_no_command():
    """Each start would pay for all commands otherwise."""

    program = (
        "import sys; from tradefl.cli import main\n"
        "print([m for m in sys.modules if m.startswith('tradefl.cli.')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = {name.removeprefix("tradefl.cli.") for name in ast.literal_eval(done.stdout)}
    assert "command" in loaded
    assert not loaded & set(COMMANDS)
