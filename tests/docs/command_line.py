"""``python -m tests.docs.command_line``: write the reference of the command line anew.

The page says what the commands themselves say; ``test_site.py`` compares the two.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from tradefl.cli import app

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "command-line.md"
INTRODUCTION = """\
# The command line

Every command with its options, as `tradefl COMMAND --help` has them; this page is written by
`python -m tests.docs.command_line`. Each has `--help`, or `-h`, too. Exit codes: 0 done, 1 the
answer is no, 2 bad input.
"""


def page() -> str:
    """Return the page."""
    group = app
    context = click.Context(group, info_name="tradefl")
    parts = [INTRODUCTION, *_options(group, context)]
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None and not command.hidden:
            parts += _command(command, click.Context(command, context, info_name=name))
    return "\n".join(parts)


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"## {context.command_path}\n"
    yield f"`{context.command_path} {' '.join(_usage(command, context))}`\n"
    paragraphs, examples = _help(command)
    yield from (f"{_text(paragraph)}\n" for paragraph in paragraphs)
    yield from _arguments(command)
    yield from _options(command, context)
    if examples:
        yield "```sh"
        yield from examples
        yield "```\n"


def _usage(command: click.Command, context: click.Context) -> Iterator[str]:
    yield "[OPTIONS]"
    for param in command.get_params(context):
        if isinstance(param, click.Argument):
            name = _name(param) + ("..." if param.nargs == -1 else "")
            yield name if param.required else f"[{name}]"


def _help(command: click.Command) -> tuple[list[str], list[str]]:
    """Return the paragraphs of a command's help, and its examples."""
    paragraphs, examples = [], []
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("Example: "):
            joined = " ".join(paragraph.split())
            examples += [entry.strip() for entry in joined.split("Example: ") if entry.strip()]
        else:
            paragraphs.append(" ".join(paragraph.split()))
    return paragraphs, examples


def _arguments(command: click.Command) -> Iterator[str]:
    arguments = [param for param in command.params if isinstance(param, click.Argument)]
    if arguments:
        yield "| argument | default | |\n|---|---|---|"
        yield from (
            f"| `{_name(each)}` | {_default(each)} | {_text(getattr(each, 'help', None) or '')} |"
            for each in arguments
        )
        yield ""


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    yield "| option | values | default | |\n|---|---|---|---|"
    for param in command.get_params(context):
        if isinstance(param, click.Option) and not param.hidden and "--help" not in param.opts:
            names = ", ".join(f"`{name}`" for name in (*param.opts, *param.secondary_opts))
            text = _text(param.help or "") + (" (required)" if param.required else "")
            yield f"| {names} | {_values(param)} | {_default(param)} | {text} |"
    yield ""


def _name(argument: click.Argument) -> str:
    return (argument.name or "").upper()


def _default(parameter: click.Parameter) -> str:
    value = parameter.default
    shown = value is not None and value is not ... and not callable(value)
    if not shown or isinstance(value, (bool, list, tuple)) or "UNSET" in repr(value):
        return ""
    return f"`{value}`"


def _values(option: click.Option) -> str:
    if option.is_flag:
        return ""
    kind: Any = option.type
    if isinstance(kind, click.Choice):
        return ", ".join(f"`{choice}`" for choice in kind.choices)
    if isinstance(kind, (click.IntRange, click.FloatRange)):
        ends = [
            f"{sign}{'' if is_open else '='} {_number(end)}"
            for sign, is_open, end in (
                (">", kind.min_open, kind.min),
                ("<", kind.max_open, kind.max),
            )
            if end is not None
        ]
        what = "whole number" if isinstance(kind, click.IntRange) else "number"
        return f"{what} {' and '.join(ends)}".strip()
    names = {"integer": "whole number", "float": "number", "path": "path", "text": "text"}
    return names.get(kind.name, str(kind.name))


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _text(text: str) -> str:
    """Return a help text in Markdown; in a table a bar would end the cell."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "\\<").replace("*", "\\*")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
