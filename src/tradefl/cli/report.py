"""``tradefl report``: everything about a consortium on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import click

from tradefl.cli.declaring import Option
from tradefl.cli.options import File, Method, NoTune, OneOf
from tradefl.cli.output import answer, note, require_distinct, require_writable, status
from tradefl.comparison import compare
from tradefl.consortium import Consortium, load
from tradefl.consortium.files import atomic_write
from tradefl.consortium.ranges import uncertain
from tradefl.errors import InputError, Problem
from tradefl.incentives.misreports import Incentives
from tradefl.incentives.misreports import incentives as misreports
from tradefl.incentives.uncertainty import sensitivity
from tradefl.outcomes import Comparison
from tradefl.solvers import DEFAULT_METHOD, Solution
from tradefl.solvers import solve as solve_game
from tradefl.stability.verdict import stability_of
from tradefl.tuning import Tuning
from tradefl.tuning import tune as tune_game

# The proof of stability may take so long; what is not proven until then is called undecided.
STABILITY_SECONDS = 10.0
# Up to here a report compares the rules: seconds.
COMPARED_UP_TO = 50
# Up to here it tries misreports: of each figure the ends of this range, where most is gained.
TRIED_UP_TO = 20
MISREPORTED = 0.1
ENDS = 2


def report(
    file: File,
    output: Annotated[Path, Option("--output", "-o", help="Where to write the page.")] = Path(
        "report.html"
    ),
    method: Method = DEFAULT_METHOD,
    mechanism: Annotated[
        str | None,
        Option(
            "--mechanism",
            help="Report this mechanism in place of the file's rule, such as shapley-profile (see "
            "tradefl compare); the page says that it cannot be settled.",
        ),
    ] = None,
    profile: Annotated[
        Path | None,
        Option(
            "--profile",
            help="Report the contributions of this solution or training document; default: solve.",
        ),
    ] = None,
    training: Annotated[
        Path | None,
        Option("--training", help="Add the training of this tradefl train document."),
    ] = None,
    settlement: Annotated[
        Path | None,
        Option("--settlement", help="Add the receipts of this tradefl settle document."),
    ] = None,
    no_tune: NoTune = False,
    no_compare: Annotated[
        bool, Option("--no-compare", help="Leave out the rules side by side.")
    ] = False,
    no_incentives: Annotated[
        bool, Option("--no-incentives", help="Leave out what misreports gain.")
    ] = False,
    audience: Annotated[
        str,
        Option(
            "--audience",
            help="Whom it is for: board (the decision and what is behind it), engineer "
            "(everything) or auditor (payments, proof, settlement, every statement).",
            type=OneOf(["board", "engineer", "auditor"]),
        ),
    ] = "engineer",
    language: Annotated[
        str,
        Option(
            "--language",
            help="en, or zh for the board's report in Chinese.",
            type=OneOf(["en", "zh"]),
        ),
    ] = "en",
    pdf: Annotated[
        Path | None,
        Option("--pdf", help="Print the page here, too, with an installed browser."),
    ] = None,
    paper: Annotated[
        str,
        Option("--paper", help="The paper of --pdf: A4 or Letter.", type=OneOf(["A4", "Letter"])),
    ] = "A4",
) -> None:
    """Write one page that shows who contributes what, who pays whom, why, and how it is proven.

    The page is one file. It needs no network and can be printed.

    Example: tradefl report examples/drug_discovery.toml -o report.html
    Example: tradefl report examples/drug_discovery.toml --mechanism shapley-profile
    """
    from tradefl.report import read_settlement, read_training, require_agreement_of
    from tradefl.report import report as reported
    from tradefl.report.pdf import pdf_of

    read = {"FILE": file, "--profile": profile, "--training": training, "--settlement": settlement}
    for option, path in read.items():
        if path is not None:
            require_distinct({option: path, "--output": output})
    require_writable(output)
    if mechanism is not None:
        others = {"--profile": profile, "--settlement": settlement, "--training": training}
        if clash := [option for option, given in others.items() if given is not None]:
            what = f"cannot be combined with {clash[0]}: its payments follow from the file's rule"
            raise InputError.at("--mechanism", what)
    if language != "en" and (audience != "board" or settlement is not None):
        what = "the Chinese report is the board's: add --audience board, without --settlement"
        raise InputError.at("--language", what)
    if pdf is not None:
        require_distinct({"FILE": file, "--output": output, "--pdf": pdf})
        require_writable(pdf)
    with status(f"solving {file}") as show:
        consortium = load(file)
        trained = None if training is None else read_training(training, consortium)
        settled = None
        if settlement is not None:
            settled = read_settlement(settlement, consortium)
            require_agreement_of(settled, consortium, settlement)
        if mechanism is not None:
            solution = _under(consortium, mechanism)
        elif profile is None:
            solution = solve_game(consortium, method)
        else:
            from tradefl.settlement.profile import settled_solution

            solution = settled_solution(consortium, profile, note)
        tuning = None
        if not no_tune:
            show(f"tuning {file}; --no-tune leaves it out")
            # The optimum does not depend on gamma: its curve is that of the equilibria.
            tuning = _tuned(consortium, DEFAULT_METHOD if method == "planner" else method)
        comparison = None
        if not no_compare:
            show(f"comparing rules on {file}; --no-compare leaves them out")
            comparison = _compared(consortium, tuning)
        stays = None
        if 2 <= len(consortium) <= COMPARED_UP_TO:
            show(f"looking for coalitions of {file} that could do better")
            stays = stability_of(solution, time_limit=STABILITY_SECONDS)
        drawn = None
        if any(uncertain(consortium)):
            show(f"drawing the uncertain figures of {file}")
            drawn = sensitivity(consortium)
        lies = None
        tried = audience == "engineer" and not no_incentives and mechanism is None
        if tried and 2 <= len(consortium) <= TRIED_UP_TO:
            show(f"trying misreports of {file}; --no-incentives leaves them out")
            lies = _misreported(consortium, tuning)
        show(f"drawing {output}")
        page = reported(
            consortium,
            solution,
            tuning=tuning,
            comparison=comparison,
            training=trained,
            settlement=settled,
            sensitivity=drawn,
            stability=stays,
            incentives=lies,
            audience=audience,  # type: ignore[arg-type]  # one of them: the option sees to it
            language=language,  # type: ignore[arg-type]  # likewise
        )
        atomic_write(output, page.encode(), private=True)
        if pdf is not None:
            show(f"printing {pdf}")
            printed = pdf_of(page, paper=paper)  # type: ignore[arg-type]  # likewise
            atomic_write(pdf, printed, private=True)
    note(f"wrote {output}" if pdf is None else f"wrote {output} and {pdf}")
    _exit_with(solution)


def _under(consortium: Consortium, name: str) -> Solution:
    """Return the equilibrium under another mechanism.

    Raises
    ------
    InputError
        There is no such mechanism, or it cannot be made for this consortium.
    """
    from tradefl.mechanisms import make_mechanism

    try:
        made = make_mechanism(name, consortium.game)
    except InputError as error:
        raise InputError(
            Problem("--mechanism", problem.message) for problem in error.problems
        ) from None
    except ValueError as error:
        raise InputError.at("--mechanism", f"{name}: {error}") from None
    return solve_game(consortium.game.with_compensation(made))


def _tuned(consortium: Consortium, method: str) -> Tuning:
    """Return the gamma curve.

    Raises
    ------
    InputError
        The method cannot serve this consortium at some gamma.
    """
    try:
        return tune_game(consortium, method=method)
    except ValueError as error:
        raise InputError.at(f"--method {method}", str(error)) from None


def _misreported(consortium: Consortium, tuning: Tuning | None) -> Incentives:
    """Return what misreports gain under the file's rule, and with gamma tuned on reports."""
    return misreports(consortium, MISREPORTED, points=ENDS, all_rules=False, tuning=tuning)


def _compared(consortium: Consortium, tuning: Tuning | None) -> Comparison | None:
    """Return the rules side by side, or say why there are none.

    A table of rules for a large consortium is longer than a report should be.
    """
    if len(consortium) > COMPARED_UP_TO:
        note(
            f"the rules are compared up to {COMPARED_UP_TO} organizations; tradefl compare "
            "does it for any number"
        )
    if not 2 <= len(consortium) <= COMPARED_UP_TO:
        return None
    try:
        return compare(consortium, tuning=tuning)
    except ValueError as error:
        raise InputError.at(consortium.source, str(error)) from None


def _exit_with(solution: Solution) -> None:
    if solution.status == "iteration_limit":
        answer(f"no equilibrium within {solution.iterations:,} iterations")
        raise click.exceptions.Exit(1)
