"""``tradefl explain``: the itemized payoff statement, and who pays whom."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import click

from tradefl.cli.declaring import Option
from tradefl.cli.options import File, Json, Method
from tradefl.cli.output import amounts_in, answer, note, print_json, print_table, progress, say
from tradefl.cli.terminal import terminal_width
from tradefl.consortium import Consortium, load
from tradefl.consortium.schema import Settlement, shown, suggestion
from tradefl.errors import InputError, Problem
from tradefl.foreign import normalized
from tradefl.solvers import DEFAULT_METHOD, Solution
from tradefl.solvers import solve as solve_game
from tradefl.solvers.cautions import binding_words, cautions
from tradefl.solvers.solution import MAX_TRANSFERS_ORGANIZATIONS
from tradefl.statement import (
    Statement,
    decimals,
    escaped,
    exactly,
    money,
    number,
    rounded_to,
)

if TYPE_CHECKING:
    from tradefl.settlement import WeiStatement

# Of more organizations what binds is counted, not listed.
NAMED = 30


def explain(
    file: File,
    organization: Annotated[
        list[str] | None,
        Option(
            "--organization",
            help="Only this one's statement; may be given again.",
            show_default=False,
        ),
    ] = None,
    method: Method = DEFAULT_METHOD,
    profile: Annotated[
        Path | None,
        Option(
            "--profile",
            help="Explain the contributions of this solution or training document; default: solve.",
        ),
    ] = None,
    as_json: Json = False,
    markdown: Annotated[bool, Option("--markdown", help="Print Markdown.")] = False,
    wei: Annotated[
        bool,
        Option("--wei", help="Add the redistribution in wei, as the contract computes it."),
    ] = False,
) -> None:
    """Itemize every payoff, each line with its equation and its numbers; say who pays whom.

    Example: tradefl explain examples/drug_discovery.toml --organization Alpha
    """
    if as_json and markdown:
        raise InputError.at("--markdown", "cannot be combined with --json")
    with progress(f"solving {file}"):
        consortium = load(file)
        who = _chosen(consortium.names, organization, str(file))
        if profile is None:
            solution = solve_game(consortium, method)
        else:
            from tradefl.settlement.profile import settled_solution

            solution = settled_solution(consortium, profile, note)
        statements = [solution.statement(i) for i in who]
        in_wei = _in_wei(consortium, solution, who) if wei else None
    for remark in () if as_json else cautions(solution):
        note(remark)
    shown = solution.in_currency()
    if as_json:
        print_json(_document(solution, statements, in_wei, who))
    elif markdown:
        say(_markdown(shown, [shown.statement(i) for i in who], in_wei, who, consortium))
    else:
        _print(shown, [shown.statement(i) for i in who], in_wei, who, consortium)
    if solution.status == "iteration_limit":
        answer(f"no equilibrium within {solution.iterations:,} iterations")
        raise click.exceptions.Exit(1)


def print_statements(consortium: Consortium, solution: Solution, who: list[int]) -> None:
    """Print the statements of the chosen, in payoff or money and in wei, and who pays whom."""
    in_wei = _in_wei(consortium, solution, who)
    shown = solution.in_currency()
    _print(shown, [shown.statement(i) for i in who], in_wei, who, consortium)


def _chosen(names: tuple[str, ...], wanted: list[str] | None, file: str) -> list[int]:
    if not wanted:
        if len(names) > MAX_TRANSFERS_ORGANIZATIONS:
            raise InputError.at(
                "--organization",
                f"expected a name: {file} has {len(names):,} organizations, too many for "
                f"statements of all (at most {MAX_TRANSFERS_ORGANIZATIONS:,})",
            )
        return list(range(len(names)))
    wanted = [normalized(name) for name in wanted]
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise InputError(
            Problem(
                "--organization",
                f"no organization {shown(name)} in {file}{suggestion(name, names)}",
            )
            for name in unknown
        )
    return [names.index(name) for name in dict.fromkeys(wanted)]


def _in_wei(consortium: Consortium, solution: Solution, who: list[int]) -> list[WeiStatement]:
    """Return the redistribution of the chosen in the contract's integers."""
    from tradefl.settlement import Agreement, quantization_bounds, wei_statement
    from tradefl.settlement.stand_ins import addresses_or_stand_ins

    agreement = Agreement.of(consortium, addresses_or_stand_ins(consortium.accounts))
    reports = agreement.reports(solution.profile)
    bounds = quantization_bounds(consortium, agreement)
    return [
        wei_statement(
            agreement,
            reports,
            i,
            float(solution.terms.redistribution[i]),
            bounds[i],
        )
        for i in who
    ]


def _transfers(solution: Solution, who: list[int]) -> list[tuple[str, str, float]]:
    """Return ``(payer, receiver, amount)`` for the pairs in which the chosen take part."""
    name_of = solution.game.name_of
    if len(who) == solution.game.size:
        settled = solution.transfers()
    else:  # a pair of two that are chosen is named once
        settled = list(dict.fromkeys(transfer for i in who for transfer in solution.transfers(i)))
    return [(name_of(payer), name_of(receiver), amount) for payer, receiver, amount in settled]


def _document(
    solution: Solution,
    statements: list[Statement],
    in_wei: list[WeiStatement] | None,
    who: list[int],
) -> dict[str, object]:
    from tradefl.documents.base import money_keys
    from tradefl.documents.solution import Transfer
    from tradefl.documents.statement import StatementDocument

    game = solution.game
    documents = [
        statement.document().model_copy(
            update={
                "alone": float(solution.alone[i]),
                "gain_over_alone": float(solution.gain_over_alone[i]),
            }
        )
        for statement, i in zip(statements, who, strict=True)
    ]
    if in_wei is not None:
        documents = [
            document.model_copy(update={"wei": wei.document()})
            for document, wei in zip(documents, in_wei, strict=True)
        ]
    return StatementDocument(
        document="tradefl/statement/1",
        consortium=game.title,
        method=solution.method,
        status=solution.status,
        max_regret=solution.certificate.max_regret,
        omega=solution.figures.omega,
        performance=solution.terms.performance,
        statements=documents,
        transfers=[
            Transfer(payer=payer, receiver=receiver, amount=amount)
            for payer, receiver, amount in _transfers(solution, who)
        ],
        **money_keys(game),
    ).to_dict()


def _unit_words(consortium: Consortium) -> str:
    """Return what a unit of the file is in money; nothing where it is the same or not money."""
    if consortium.currency is None or consortium.payoff_unit == 1.0:
        return ""
    return (
        f"A unit of payoff in the file is {consortium.payoff_unit:,.12g} {consortium.currency}; p, "
        "gamma, varpi_e and costs enter in the currency."
    )


def _transfer_table(
    transfers: list[tuple[str, str, float]], consortium: Consortium
) -> tuple[list[str], list[list[str]]]:
    """Return headings and rows of who pays whom; with a currency, in wei too."""
    digits = decimals(amount for *_, amount in transfers)
    rows = [[payer, receiver, money(amount, digits)] for payer, receiver, amount in transfers]
    if consortium.currency is None:
        return ["from", "to", "amount"], rows
    per_unit = (consortium.settlement or Settlement()).wei_per_payoff / consortium.payoff_unit
    for row, (*_, amount) in zip(rows, transfers, strict=True):
        row.append(f"{round(amount * per_unit):,}")
    return ["from", "to", f"amount, {consortium.currency}", "wei, about"], rows


def _contributions(solution: Solution) -> list[list[str]]:
    """Return what everybody contributes, as it enters Omega and the redistribution."""
    game, profile, figures = solution.game, solution.profile, solution.figures
    return [
        [
            game.name_of(i),
            number(float(profile.data_fraction[i])),
            number(float(game.data_units[i])),
            number(figures.units[i]),
            number(float(profile.cpu_hz[i])),
            number(figures.scores[i]),
        ]
        for i in range(game.size)
    ]


def _binding(solution: Solution, who: list[int]) -> str:
    """Return what keeps each of the chosen from contributing more, or less."""
    if len(who) > NAMED:
        return f"What binds: {binding_words(solution)}"
    named = "; ".join(f"{solution.game.name_of(i)}: {solution.binds[i]}" for i in who)
    return f"What binds: {named}"


def _headings(solution: Solution) -> list[str]:
    return ["organization", "d", "u", "d u", "f (Hz)", solution.game.rule.score_name]


_ALONE = ["organization", "payoff", "alone", "gain over alone"]


def _against_alone(
    solution: Solution, statements: list[Statement], who: list[int]
) -> list[list[str]]:
    """Return what each would earn by training alone, and what it gains over that."""
    rows = []
    for i, statement in zip(who, statements, strict=True):
        payoff = statement.printed_totals["payoff"]
        alone = rounded_to(exactly(float(solution.alone[i])), statement.decimals)
        amounts = (payoff, alone, payoff - alone)
        rows.append(
            [solution.game.name_of(i), *(money(amount, statement.decimals) for amount in amounts)]
        )
    return rows


def _with_wei(
    statements: list[Statement], in_wei: list[WeiStatement] | None
) -> Iterator[Statement | WeiStatement]:
    """Yield each statement, and the one in wei after it."""
    for k, statement in enumerate(statements):
        yield statement
        if in_wei is not None:
            yield in_wei[k]


def _print(
    solution: Solution,
    statements: list[Statement],
    in_wei: list[WeiStatement] | None,
    who: list[int],
    consortium: Consortium,
) -> None:
    game = solution.game
    say(
        f"{game.title}: method {solution.method}, status {solution.status}, "
        f"max regret {solution.certificate.max_regret:.3g}{amounts_in(game)}\n"
    )
    if unit := _unit_words(consortium):
        say(f"{unit}\n")
    say(f"What everybody contributes; Omega = sum of d u = {number(solution.figures.omega)}")
    print_table(_headings(solution), _contributions(solution))
    say(f"{_binding(solution, who)}\n")
    for statement in _with_wei(statements, in_wei):
        say(f"{statement.to_text(terminal_width(sys.stdout))}\n")
    say("Against training alone")
    print_table(_ALONE, _against_alone(solution, statements, who))
    say(f"Who pays whom, {game.rule.equation}")
    transfers = _transfers(solution, who)
    if transfers:
        headings, rows = _transfer_table(transfers, consortium)
        print_table(headings, rows, left=(0, 1))
    else:
        say("  nobody pays anybody")


def _markdown(
    solution: Solution,
    statements: list[Statement],
    in_wei: list[WeiStatement] | None,
    who: list[int],
    consortium: Consortium,
) -> str:
    game = solution.game
    headings, transfers = _transfer_table(_transfers(solution, who), consortium)
    unit = _unit_words(consortium)
    text = [
        f"# {escaped(game.title)}",
        "",
        f"Method {solution.method}, status {solution.status}, "
        f"max regret {solution.certificate.max_regret:.3g}{amounts_in(game)}.",
        "",
        *((unit, "") if unit else ()),
        "## What everybody contributes",
        "",
        f"Omega = sum of d u = {number(solution.figures.omega)}",
        "",
        f"| {' | '.join(_headings(solution))} |",
        "|---|---:|---:|---:|---:|---:|",
        *(
            f"| {' | '.join([escaped(name), *figures])} |"
            for name, *figures in _contributions(solution)
        ),
        "",
        f"{escaped(_binding(solution, who))}",
        "",
        *(statement.to_markdown() for statement in _with_wei(statements, in_wei)),
        "## Against training alone",
        "",
        f"| {' | '.join(_ALONE)} |",
        "|---|---:|---:|---:|",
        *(
            f"| {' | '.join([escaped(name), *amounts])} |"
            for name, *amounts in _against_alone(solution, statements, who)
        ),
        "",
        "## Who pays whom",
        "",
        f"| {' | '.join(headings)} |",
        "|---|---|" + "---:|" * (len(headings) - 2),
        *(
            f"| {escaped(payer)} | {escaped(receiver)} | {' | '.join(amounts)} |"
            for payer, receiver, *amounts in transfers
        ),
    ]
    return "\n".join(text)
