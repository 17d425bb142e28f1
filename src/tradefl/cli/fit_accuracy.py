"""``tradefl fit-accuracy``: the data-accuracy function, measured."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tomli_w

from tradefl.cli.declaring import Argument, Option
from tradefl.cli.interrupting import interruptible
from tradefl.cli.options import Json
from tradefl.cli.output import (
    note,
    print_facts,
    print_json,
    print_table,
    require_distinct,
    require_writable,
    say,
    warn,
    yes_no,
)
from tradefl.cli.training_options import TrainingOptions
from tradefl.consortium import Consortium, load, write
from tradefl.consortium.files import atomic_write
from tradefl.consortium.schema import EmpiricalAccuracy
from tradefl.errors import InputError

if TYPE_CHECKING:
    from tradefl.federation.fitting import Fit, Point
    from tradefl.federation.quality import Quality, SubsetTraining

ROWS = 100


def fit_accuracy(
    options: TrainingOptions,
    file: Annotated[
        Path | None,
        Argument(
            help="Whose data it is; default: equal organizations, data counted in samples.",
            show_default=False,
        ),
    ] = None,
    fractions: Annotated[
        str | None,
        Option(
            "--fractions",
            help="The ladder: fractions of everybody's data, such as 0.05,0.2,1; default: 8 from "
            "0.02 (or D_min) to 1 in equal ratios.",
        ),
    ] = None,
    seeds: Annotated[
        int, Option("--seeds", min=1, max=1000, help="Trainings for each fraction.")
    ] = 3,
    organizations: Annotated[
        int,
        Option("--organizations", min=1, max=10_000, help="How many, without a file."),
    ] = 10,
    quality: Annotated[
        bool,
        Option(
            "--quality",
            help="Also estimate the weight of each organization's data in Omega, from trainings on "
            "random halves of them; -o writes it as quality.",
        ),
    ] = False,
    subsets: Annotated[
        int | None,
        Option(
            "--subsets",
            min=2,
            max=100_000,
            help="With --quality: trainings on halves; default: 4 for each organization.",
        ),
    ] = None,
    points: Annotated[
        Path | None, Option("--points", help="Write the points here (CSV data,accuracy).")
    ] = None,
    output: Annotated[
        Path | None,
        Option(
            "--output",
            "-o",
            help="Write the consortium here, with the measured section; its points go next to it.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Train with ever more data, and fit the nondecreasing concave P of Eq. (5) to it.

    Example: tradefl fit-accuracy examples/hospitals.toml --data digits -o fitted.toml
    Example: tradefl fit-accuracy examples/hospitals.toml --quality -o fitted.toml
    """
    from tradefl.federation import fitting

    for path in (points, output):
        if path is not None:
            require_writable(path)
    require_distinct({"FILE": file, "--points": points, "--output": output})
    if output is not None and file is None:
        raise InputError.at("--output", "needs a consortium file; --points needs none")
    if subsets is not None and not quality:
        raise InputError.at("--subsets", "requires --quality")
    consortium = None if file is None else load(file)
    plan = fitting.measuring(
        options.plan(file), None if consortium is None else consortium.training
    )
    least = fitting.SMALLEST if consortium is None else consortium.mechanism.min_data_fraction
    chosen = (
        fitting.ladder(max(fitting.SMALLEST, least)) if fractions is None else _ladder(fractions)
    )
    with interruptible(lambda: "no point is kept; start again"):
        measured, untrained, notices = fitting.measure_accuracy(
            plan,
            consortium,
            fractions=chosen,
            seeds=range(seeds),
            organizations=organizations,
            watch=_show,
        )
    for text in notices:
        note(text)
    columns = np.array([(point.data, point.accuracy) for point in measured])
    fit = fitting.fit_accuracy(columns[:, 0], columns[:, 1], untrained)
    if not fit.concave:
        note(
            "Eq. (5) does not hold within the noise: the curve is the closest that does, "
            f"{fit.decrease:.3g} below a decrease, {fit.convexity:.3g} above a convex part"
        )
    weighed = None
    if quality:
        from tradefl.federation.quality import measure_quality

        with interruptible(lambda: "no weight is kept; start again"):
            weighed = measure_quality(
                plan,
                consortium,
                fit,
                subsets=subsets or 0,
                organizations=organizations,
                watch=_show_subset,
            )
    table = _csv(columns)
    if points is not None:
        atomic_write(points, table, private=True)
    elif output is None:
        note("the points are not written: --points FILE, or -o FILE for the whole consortium")
    section = _section(consortium, untrained, points, output)
    if output is not None and consortium is not None:
        accuracy = EmpiricalAccuracy.model_validate(section)
        members = consortium.organizations
        if weighed is not None:
            members = dataclasses.replace(members, quality=members.quality * weighed.weights)
        found = dataclasses.replace(
            consortium, accuracy=accuracy, points=columns, organizations=members
        )
        write(found, output)
    if as_json:
        print_json(_document(consortium, plan, measured, untrained, fit, section, weighed))
    else:
        _print(plan, measured, fit, section, weighed, _names(consortium, weighed))


def _ladder(text: str) -> list[float]:
    """Return the fractions of an option."""
    expected = "expected three or more different numbers in (0, 1], such as 0.05,0.2,1"
    try:
        fractions = sorted({float(share) for share in text.split(",")})
    except ValueError:
        raise InputError.at("--fractions", f"{expected}, got {text!r}") from None
    if len(fractions) < 3 or not all(0.0 < fraction <= 1.0 for fraction in fractions):
        raise InputError.at("--fractions", f"{expected}, got {text!r}")
    return fractions


def _show(point: Point) -> None:
    warn(
        f"{point.fraction:.4f} of the data ({point.samples:,} samples), seed {point.seed}: "
        f"accuracy {point.accuracy:.4f}"
    )


def _csv(columns: Any) -> bytes:
    rows = [f"{data!r},{accuracy!r}" for data, accuracy in columns.tolist()]
    return "\n".join(["data,accuracy", *rows, ""]).encode()


def _section(
    consortium: Consortium | None, untrained: float, points: Path | None, output: Path | None
) -> dict[str, Any]:
    """Return the ``[accuracy]`` section."""
    if output is not None:
        name = f"{output.stem}.points.csv"
    else:
        name = "points.csv" if points is None else str(points)
    return {
        "model": "empirical",
        "points_file": name,
        "untrained_accuracy": untrained,
        "measure": "samples" if consortium is None else consortium.accuracy.measure,
        "unit": 1.0 if consortium is None else consortium.accuracy.unit,
    }


def _document(
    consortium: Consortium | None,
    plan: Any,
    measured: list[Point],
    untrained: float,
    fit: Fit,
    section: dict[str, Any],
    weighed: Quality | None,
) -> dict[str, Any]:
    from tradefl.documents.accuracy import (
        AccuracyDocument,
        AccuracyPoint,
        AccuracySection,
        DataQuality,
    )

    more: dict[str, Any] = {}
    if weighed is not None:
        more["quality"] = [
            DataQuality.of(name=name, quality=weight, low=low, high=high)
            for name, weight, low, high in zip(
                _names(consortium, weighed),
                weighed.weights.tolist(),
                weighed.low.tolist(),
                weighed.high.tolist(),
                strict=True,
            )
        ]
    return AccuracyDocument.of(
        document=AccuracyDocument.NAME,
        consortium=None if consortium is None else consortium.name,
        settings=plan.identity(),
        points=[AccuracyPoint.of(**dataclasses.asdict(point)) for point in measured],
        untrained_accuracy=untrained,
        **fit.to_dict(),
        accuracy=AccuracySection.of(**section),
        **more,
    ).to_dict()


def _show_subset(training: SubsetTraining) -> None:
    present = int((training.shares == 1.0).sum())
    warn(f"{present} organizations, seed {training.seed}: accuracy {training.accuracy:.4f}")


def _names(consortium: Consortium | None, weighed: Quality | None) -> list[str]:
    """Return the names of the organizations whose data was weighed."""
    if weighed is None:
        return []
    if consortium is not None:
        return list(consortium.names)
    return [f"organization-{k}" for k in range(weighed.weights.size)]


def _print(
    plan: Any,
    measured: list[Point],
    fit: Fit,
    section: dict[str, Any],
    weighed: Quality | None,
    names: list[str],
) -> None:
    say(f"{plan.model} on {plan.data}: accuracy against data\n")
    fitted = fit.accuracy - fit.residuals
    print_table(
        ["data (Omega)", "samples", "seed", "accuracy", "fitted", "residual"],
        [
            [
                f"{point.data:.6g}",
                f"{point.samples:,}",
                str(point.seed),
                f"{point.accuracy:.4f}",
                f"{value:.4f}",
                f"{residual:+.4f}",
            ]
            for point, value, residual in zip(measured, fitted, fit.residuals, strict=True)
        ],
        left=(),
        limit=ROWS,
    )
    form = fit.sqrt_loss
    print_facts(
        [
            ("untrained accuracy", f"{fit.untrained_accuracy:.4f}"),
            ("R^2", f"{fit.r_squared:.6f}, residuals within {np.abs(fit.residuals).max():.4f}"),
            ("Eq. (5) within noise", yes_no(fit.concave)),
            (
                "footnote 7's form",
                f"G = {form.epochs:.6g}, A(0) = {form.untrained_loss:.6g}: "
                f"R^2 {fit.sqrt_loss_r_squared:.6f}",
            ),
        ]
    )
    if weighed is not None:
        say("\nquality: the weight of each organization's data in Omega\n")
        print_table(
            ["organization", "quality", "low", "high"],
            [
                [name, f"{weight:.3f}", f"{low:.3f}", f"{high:.3f}"]
                for name, weight, low, high in zip(
                    names, weighed.weights, weighed.low, weighed.high, strict=True
                )
            ],
            left=(0,),
            limit=ROWS,
        )
        explained = f"{weighed.r_squared:.4f}; unweighted {weighed.r_squared_unweighted:.4f}"
        print_facts([("R^2 of trainings on halves", explained)])
    say()
    say(tomli_w.dumps({"accuracy": section}).rstrip())
