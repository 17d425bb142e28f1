"""``tradefl reproduce``: the paper's figures, and what became of its claims."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click

from tradefl.cli.declaring import Argument, Option
from tradefl.cli.interrupting import INTERRUPTED, TERMINATED
from tradefl.cli.options import DataDir, Device, Json, OneOf
from tradefl.cli.output import counted_progress, note, print_facts, print_json, print_table, say
from tradefl.consortium.schema import suggestion
from tradefl.errors import InputError, Problem, require_extras

if TYPE_CHECKING:
    from tradefl.experiments import Settings
    from tradefl.experiments.figure import Figure
    from tradefl.experiments.parameters import Value
    from tradefl.experiments.scorecard import Scorecard
    from tradefl.sweep import Progress


def reproduce(
    figures: Annotated[
        list[str] | None,
        Argument(
            help="fig4, fig5, ..., or simulation, training, all, compensation, mechanisms, "
            "stability, quality; "
            "default: simulation.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, Option("--out", "-o", help="The folder of the results.")] = Path(
        "reproduction"
    ),
    seeds: Annotated[
        int | None,
        Option(
            "--seeds",
            min=1,
            max=100_000,
            help="Consortia drawn for each figure; default: 50, for mechanisms 200 of each kind.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        Option("--workers", min=1, max=1024, help="Processes; default: one for each CPU."),
    ] = None,
    ray: Annotated[
        str | None,
        Option("--ray", help="Work on this Ray cluster: HOST:PORT, auto; local: start one here."),
    ] = None,
    same_bytes: Annotated[
        bool,
        Option(
            "--same-bytes",
            help="Refuse other kinds of processors, whose last digits may differ.",
        ),
    ] = False,
    profile: Annotated[
        str,
        Option(
            "--profile",
            help="Of the training figures: small for two CPUs, full for a GPU.",
            type=OneOf(["small", "full"]),
        ),
    ] = "small",
    pairs: Annotated[
        list[str] | None,
        Option(
            "--pair", help="Only this model and data set; may be given again.", show_default=False
        ),
    ] = None,
    training_seeds: Annotated[
        int | None,
        Option("--training-seeds", min=1, max=1000, help="Trainings; default: the profile's."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        Option(
            "--set",
            help="NAME=VALUE: another value of a figure's parameter, such as mu=0.08 or "
            "gammas=1e-9,5e-9; may be given again.",
            show_default=False,
        ),
    ] = None,
    style: Annotated[
        str,
        Option(
            "--style",
            help="screen: SVG, PNG, HTML; paper: also PDF, and a graphic with LaTeX labels.",
            type=OneOf(["screen", "paper"]),
        ),
    ] = "screen",
    data_dir: DataDir = None,
    device: Device = "cpu",
    as_json: Json = False,
) -> None:
    """Make the paper's figures again, with many draws, and judge each of its claims.

    Cut off, the same command goes on. The tables do not depend on the number of workers. The group
    compensation is no part of all: it goes beyond the paper, and compares its rule with the
    efficient one. Nor is mechanisms, which compares eleven on the same consortia.

    Example: tradefl reproduce
    Example: tradefl reproduce fig6 fig7 --seeds 200 --out figures
    Example: tradefl reproduce compensation --seeds 20
    Example: tradefl reproduce mechanisms
    Example: tradefl reproduce fig6 --set mu=0.08 --style paper
    Example: tradefl reproduce training --data-dir data --pair mobilenet-svhn
    """
    require_extras("tradefl reproduce", "charts", *(() if ray is None else ("sweep",)))
    from tradefl.experiments import MECHANISMS, Settings, figure
    from tradefl.experiments.parameters import assignments, checked
    from tradefl.experiments.reproduction import reproduce as reproduced
    from tradefl.experiments.scorecard import ENOUGH_DRAWS, FEW
    from tradefl.experiments.training import PAIRS, TrainingSettings

    names = _chosen(figures or ["simulation"])
    if any(figure(name).group in ("training", "quality") for name in names):
        require_extras("training figures", "federation", "vision")
    _require_known("--pair", pairs or [], tuple(PAIRS))
    if seeds is None:
        seeds = 200 if names == list(MECHANISMS) else 50
    given = assignments(set_ or [])
    values: dict[str, Value] = {}
    for name in names:
        values |= checked(figure(name), given)
    settings = Settings(
        seeds=seeds,
        parameters=values,
        training=TrainingSettings(
            profile="full" if profile == "full" else "small",
            pairs=tuple(dict.fromkeys(pairs)) if pairs else tuple(PAIRS),
            data_dir="" if data_dir is None else str(data_dir),
            device=device,
            seeds=training_seeds or 0,
        ),
    )
    if data_dir is not None and not data_dir.is_dir():
        raise InputError.at("--data-dir", f"there is no folder {data_dir}")
    try:
        with counted_progress("reproducing") as show, _terminable():
            scorecard = reproduced(
                names,
                settings,
                out,
                workers=workers,
                ray_address=ray,
                same_bytes=same_bytes,
                style="paper" if style == "paper" else "screen",
                command=command_of,
                watch=lambda step: show(step.done, step.units, _last(step)),
                notify=note,
            )
    except (KeyboardInterrupt, _TerminatedError) as stop:
        note("stopped; the same command goes on from what is done")
        code = TERMINATED if isinstance(stop, _TerminatedError) else INTERRUPTED
        raise click.exceptions.Exit(code) from None
    if scorecard.draws < ENOUGH_DRAWS:
        note(FEW)
    if as_json:
        print_json(scorecard.to_dict())
    else:
        _print(scorecard, out)


def command_of(drawn: Figure, settings: Settings) -> str:
    """Return the command that makes a figure with these settings; DATA is the data sets' folder."""
    from tradefl.experiments.parameters import written
    from tradefl.experiments.training import PAIRS

    words = ["tradefl reproduce", drawn.name]
    training = settings.training
    if drawn.group != "training":
        words.append(f"--seeds {settings.seeds}")
    elif training is not None:
        words.append(f"--profile {training.profile}")
        words += [f"--pair {name}" for name in training.pairs if training.pairs != tuple(PAIRS)]
        words += [f"--training-seeds {training.seeds}"] if training.seeds else []
        words += ["--data-dir DATA"] if training.data_dir else []
    words += [f"--set {text}" for text in written(settings.parameters)]
    return " ".join(words)


class _TerminatedError(BaseException):
    """SIGTERM; no exception that anything between here and the work would catch."""


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the work as Ctrl-C does: what is done is kept, no process is left."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals belong to the main thread
        return

    def stop(*_: object) -> None:
        raise _TerminatedError

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _last(step: Progress) -> str:
    """Return the unit that was finished last, and the machines if there are several."""
    return f"{step.what} ({step.nodes} nodes)" if step.nodes > 1 and step.what else step.what


def _chosen(asked: list[str]) -> list[str]:
    """Return the names of figures, groups replaced by theirs.

    Raises
    ------
    InputError
        There is no figure or group of a name.
    """
    from tradefl.experiments import GROUPS, KNOWN

    _require_known("FIGURES", asked, tuple(dict.fromkeys((*KNOWN, *GROUPS))))
    return list(
        dict.fromkeys(figure_name for name in asked for figure_name in GROUPS.get(name, (name,)))
    )


def _require_known(place: str, asked: list[str], known: tuple[str, ...]) -> None:
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise InputError(
            Problem(place, f"expected of {', '.join(known)}, got {name!r}{suggestion(name, known)}")
            for name in unknown
        )


def _print(scorecard: Scorecard, out: Path) -> None:
    print_table(
        ["figure", "claim", "ours", "verdict"],
        [
            [name, finding.claim, finding.ours, finding.verdict]
            for name, each in scorecard.findings.items()
            for finding in each
        ],
        left=(0, 1, 2, 3),
        limit=1000,
    )
    counted = ", ".join(f"{count} {verdict}" for verdict, count in scorecard.counts().items())
    print_facts([("claims", counted), ("scorecard", str(out / "scorecard.md"))])
    say()
