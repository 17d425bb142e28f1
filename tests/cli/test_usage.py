"""The command line as a whole: version, help, and what is no command."""

import subprocess
import sys

import click
import pytest
from tests.cli.command import run

import tradefl
from tradefl.cli import app

COMMANDS = ["init", "check", "solve", "explain"]


def test_version():
    ran = run("--version")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.split() == ["tradefl", tradefl.__version__]


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_lists_the_commands(flag):
    ran = run(flag)
    assert (ran.code, ran.err) == (0, "")
    for command in COMMANDS:
        assert f" {command} " in ran.out


def test_the_help_names_every_command_and_imports_none():
    code = (
        "import sys; from tradefl.cli import COMMANDS, app; app(['--help'], standalone_mode=False);"
        "print([name for name in COMMANDS if f'tradefl.cli.{name}' in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *lines, imported = ran.stdout.splitlines()
    assert imported == "[]"
    context = click.Context(app)
    for name in app.list_commands(context):
        summary = app.get_command(context, name).help.split("\n\n")[0].split()
        [row] = [line.split() for line in lines if line.startswith(f"  {name} ")]
        assert row[1:] == summary[: len(row) - 1], name
        assert len(row) > 1, name


@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_shows_an_example(command, flag):
    ran = run(command, flag)
    assert (ran.code, ran.err) == (0, "")
    assert f"Example: tradefl {command} " in " ".join(ran.out.split())


def test_no_command_drops_a_node_that_is_named():
    """Of an option that takes one value Click keeps the last, without a word."""
    found, context = [], click.Context(app)
    for name in app.list_commands(context):
        for option in app.get_command(context, name).params:
            if "--rpc" in option.opts:
                assert option.multiple, name
                found.append(name)
    assert {"audit", "settle", "node", "attest", "train", "negotiate"} <= set(found)


def test_no_command_is_wrong_usage_that_shows_the_help():
    ran = run()
    assert ran.code == 2
    assert "Usage: " in ran.out + ran.err
    assert " solve " in ran.out + ran.err


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["slove"], "No such command 'slove'"),
        (["--frobnicate"], "No such option"),
        (["check"], "Missing argument"),
        (["solve"], "Missing argument"),
        (["explain"], "Missing argument"),
        (["check", "a.toml", "b.toml"], "unexpected extra argument"),
        (["check", "a.toml", "--method", "dbr"], "No such option"),
        (["explain", "a.toml", "--method", "magic"], "'magic' is not one of"),
        (["explain", "a.toml", "--organization"], "requires an argument"),
        (["init", "--frobnicate"], "No such option"),
    ],
)
def test_wrong_usage_is_exit_2_without_a_traceback(arguments, what):
    ran = run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert what in ran.words
    assert "Traceback" not in ran.err


def test_quiet_leaves_the_result_and_errors_alone(tmp_path):
    options = ["reproduce", "fig6", "--seeds", "1", "--workers", "1", "--out", tmp_path / "out"]
    loud, quiet = run(*options), run(*options, "--quiet")
    assert "reproducing" in loud.err
    assert (quiet.code, quiet.out, quiet.err) == (0, loud.out, "")
    assert run(*options).err  # not for longer than one command
    assert run("check", "nowhere.toml", "-q").err.startswith("error: nowhere.toml")


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["slove"], "'solve'"),
        (["solve", "a.toml", "--methd", "dbr"], "--method"),
        (["solve", "a.toml", "--method", "exat"], "(did you mean 'exact'?)"),
        (["train", "a.toml", "--aggregation", "fedav"], "(did you mean 'fedavg'?)"),
    ],
)
def test_a_mistyped_name_gets_the_one_that_was_meant(arguments, meant):
    ran = run(*arguments)
    assert ran.code == 2
    assert meant in ran.words


def test_no_colours_but_on_a_terminal():
    assert "\x1b" not in run("solve", "examples/hospitals.toml").out


@pytest.mark.parametrize(
    "arguments",
    [
        ["\x1b[2J"],
        ["--\x1b[2J"],
        ["solve", "a.toml", "--\x1b[2J"],
        ["solve", "a.toml", "b\x1b[2J\u202e"],
        ["solve", "a.toml", "--method", "\x1b[2J\u202e"],
        ["train", "a.toml", "--rounds", "\x1b[2J"],
        ["settle", "a.toml", "--\x1b[2J=x"],
    ],
)
def test_wrong_usage_is_quoted_without_controls(arguments):
    ran = run(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert r"\x1b[2J" in ran.words
    assert ran.err.replace("\n", "").isprintable()


def test_wrong_usage_does_not_show_the_key_in_an_address():
    ran = run("audit", "a.toml", "https://node.example/v3/0123456789abcdef")
    assert (ran.code, ran.out) == (2, "")
    assert "https://node.example/***" in ran.words
    assert "0123456789abcdef" not in ran.err
