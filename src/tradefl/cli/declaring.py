"""A command from a function: its parameters, their annotations and its docstring.

>>> def greet(name: Annotated[str, Argument(help="Whom.")]) -> None: ...    # doctest: +SKIP
>>> command_of(greet)                                                       # doctest: +SKIP

A parameter's default is the option's; what it has no default for is required. Only Click is
needed, any release from 8.1 on: ``docs/decisions/052-click-alone.md`` says why.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click


@dataclasses.dataclass(frozen=True)
class Argument:
    """A positional parameter of a command."""

    help: str
    show_default: bool = True


@dataclasses.dataclass(frozen=True, init=False)
class Option:
    """A parameter with flags.

    Parameters
    ----------
    flags
        Its names, ``--long`` and perhaps ``-s``.
    help
        A noun phrase with its unit and default.
    min, max
        The range of a whole number, both ends included.
    type
        A Click type; otherwise it follows from the annotation.
    show_default, envvar, show_envvar, is_eager
        As in Click.
    callback
        Called with the value; returns the value to use, or raises :class:`click.BadParameter`.
    """

    flags: tuple[str, ...]
    help: str
    min: int | None
    max: int | None
    type: click.ParamType | None
    show_default: bool
    envvar: str | None
    show_envvar: bool
    callback: Callable[[Any], Any] | None
    is_eager: bool

    def __init__(
        self,
        *flags: str,
        help: str,  # noqa: A002
        min: int | None = None,  # noqa: A002
        max: int | None = None,  # noqa: A002
        type: click.ParamType | None = None,  # noqa: A002
        show_default: bool = True,
        envvar: str | None = None,
        show_envvar: bool = True,
        callback: Callable[[Any], Any] | None = None,
        is_eager: bool = False,
    ) -> None:
        for name, value in {**locals()}.items():
            if name not in {"self", "__class__"}:
                object.__setattr__(self, name, value)


class ExplainedArgument(click.Argument):
    """An argument with a help text, which every release of Click shows alike."""

    def __init__(self, names: list[str], *, help: str, **options: Any) -> None:  # noqa: A002
        super().__init__(names, **options)
        self.help = help

    def explanation(self) -> tuple[str, str]:
        """Return its line of the help: the name, and what it is."""
        notes = []
        default = self.default
        if self.required:
            notes.append("required")
        elif self.show_argument_default:
            notes.append(f"default: {default}")
        text = (self.help or "") + (f" [{', '.join(notes)}]" if notes else "")
        return self.make_metavar_of(), text

    show_argument_default = False

    def make_metavar_of(self) -> str:
        """Return its name in capitals; dots where it takes several."""
        return (self.name or "").upper() + ("..." if self.nargs == -1 else "")

    def get_help_record(self, ctx: click.Context) -> None:
        """Return nothing: the command lists its arguments under a heading of their own."""


class ExplainedCommand(click.Command):
    """A command whose help lists the arguments as well as the options."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the arguments, then the options."""
        arguments = [param for param in self.params if isinstance(param, ExplainedArgument)]
        if arguments:
            with formatter.section("Arguments"):
                formatter.write_dl([argument.explanation() for argument in arguments])
        super().format_options(ctx, formatter)

    def format_arguments(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write nothing: Click has this only from 8.5 on, and the options' part lists them."""

    def format_help_text(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the docstring; each example keeps its line, however narrow the terminal."""
        paragraphs = inspect.cleandoc(self.help or "").split("\n\n")
        for paragraph in paragraphs:
            formatter.write_paragraph()
            with formatter.indentation():
                if paragraph.startswith("Example: "):
                    joined = " ".join(paragraph.split())
                    for example in joined.split("Example: ")[1:]:
                        formatter.write_text(f"Example: {example.strip()}")
                else:
                    formatter.write_text(" ".join(paragraph.split()))


def parameters_of(function: Callable[..., Any]) -> list[click.Parameter]:
    """Return the Click parameters of a function, in its order.

    A parameter that is a dataclass stands for its fields: options that several commands share.

    Raises
    ------
    TypeError
        A parameter is annotated with neither :class:`Argument` nor :class:`Option`, or its type
        has no meaning on a command line.
    """
    hints = typing.get_type_hints(function, include_extras=True)
    found: list[click.Parameter] = []
    for name, parameter in inspect.signature(function).parameters.items():
        if not dataclasses.is_dataclass(hints[name]):
            found.append(_parameter(name, hints[name], parameter.default))
            continue
        shared = typing.get_type_hints(hints[name], include_extras=True)
        for field in dataclasses.fields(hints[name]):
            empty = field.default is dataclasses.MISSING
            default = inspect.Parameter.empty if empty else field.default
            found.append(_parameter(field.name, shared[field.name], default))
    return found


def command_of(
    function: Callable[..., Any], kind: type[click.Command] = ExplainedCommand
) -> click.Command:
    """Return the command that calls a function with what the command line says."""
    parameters = parameters_of(function)
    declared = inspect.signature(function).parameters
    groups: dict[str, Any] = {
        name: kind
        for name, kind in typing.get_type_hints(function).items()
        if name in declared and dataclasses.is_dataclass(kind)
    }
    defaults = {name: parameter.default for name, parameter in declared.items()} | {
        field.name: field.default for kind in groups.values() for field in dataclasses.fields(kind)
    }
    emptied = {
        str(parameter.name)
        for parameter in parameters
        if (getattr(parameter, "multiple", False) or parameter.nargs == -1)
        and defaults[str(parameter.name)] is None
    }

    def call(**values: Any) -> Any:
        for name in emptied:
            values[name] = list(values[name]) if values[name] else None
        for name, kind in groups.items():
            values[name] = kind(
                **{field.name: values.pop(field.name) for field in dataclasses.fields(kind)}
            )
        return function(**values)

    return kind(
        name=function.__name__.replace("_", "-"),
        params=parameters,
        callback=call,
        help=inspect.cleandoc(function.__doc__ or ""),
    )


def _parameter(name: str, hint: Any, default: Any) -> click.Parameter:
    declared = next(
        (
            extra
            for extra in getattr(hint, "__metadata__", ())
            if isinstance(extra, Argument | Option)
        ),
        None,
    )
    if declared is None:
        raise TypeError(f"{name}: expected Annotated[..., Option(...)] or Argument, got {hint!r}")
    annotation, several = _plain(hint.__origin__)
    required = default is inspect.Parameter.empty
    given: dict[str, Any] = {"required": required}
    if not required and default is not None:
        given["default"] = default
    if isinstance(declared, Argument):
        argument = ExplainedArgument(
            [name],
            help=declared.help,
            type=_type(annotation, None, None),
            nargs=-1 if several else 1,
            **given,
        )
        argument.show_argument_default = declared.show_default and default is not None
        return argument
    callback = declared.callback
    flag = annotation is bool
    options: dict[str, Any] = {
        "help": declared.help,
        "show_default": declared.show_default and not flag,
        "envvar": declared.envvar,
        "show_envvar": declared.show_envvar and declared.envvar is not None,
        "is_eager": declared.is_eager,
        "multiple": several,
        **given,
    }
    if callback is not None:
        options["callback"] = lambda _context, _option, value: callback(value)
    if flag:
        options["is_flag"] = True
    else:
        options["type"] = declared.type or _type(annotation, declared.min, declared.max)
    return click.Option([*declared.flags, name], **options)


def _plain(hint: Any) -> tuple[Any, bool]:
    """Return the type of one value, and whether the parameter takes several."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        rest = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        if len(rest) != 1:
            raise TypeError(f"expected one type or None, got {hint!r}")
        hint = rest[0]
    if typing.get_origin(hint) is list:
        return typing.get_args(hint)[0], True
    return hint, False


def _type(annotation: Any, least: int | None, most: int | None) -> click.ParamType:
    if annotation is Path:
        return click.Path(path_type=Path)
    if annotation is int:
        return click.INT if least is None and most is None else click.IntRange(least, most)
    kinds: dict[Any, click.ParamType] = {float: click.FLOAT, str: click.STRING}
    if annotation not in kinds:
        raise TypeError(f"a command line has no {annotation!r}")
    return kinds[annotation]
