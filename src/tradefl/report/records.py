"""What has happened since: a training and a settlement, from the documents of both commands."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, TypeVar

from tradefl import charts
from tradefl.consortium import Consortium
from tradefl.consortium.files import read_json
from tradefl.consortium.schema import Settlement as SettlementTerms
from tradefl.consortium.schema import shown
from tradefl.documents.base import parsed
from tradefl.documents.settlement import SettlementDocument, SettlementVerdict
from tradefl.documents.training import TrainingDocument
from tradefl.errors import InputError
from tradefl.game.money import unit_of
from tradefl.report import frames
from tradefl.report.blocks import (
    Block,
    Column,
    Fact,
    Facts,
    Figure,
    Listing,
    Section,
    Table,
    Text,
    amounts,
    counted,
    digits_of,
    quantity,
)
from tradefl.solvers import Solution
from tradefl.training_document import entry_in_words, require_consistent, require_terms

ROWS = 40

Read = TypeVar("Read", TrainingDocument, SettlementDocument)


class Documented(Protocol):
    """What has a JSON document: a training, a settlement."""

    def to_dict(self) -> dict[str, Any]:
        """Return the document."""


# A training or a settlement: as it was returned, as its document, or the document's file.
Source = Documented | Mapping[str, object] | str | PathLike[str]


def _content(source: Source, what: str) -> tuple[Any, object]:
    """Return the JSON content of a source, and its place for messages."""
    if isinstance(source, str | PathLike):
        return read_json(Path(source)), Path(source)
    return dict(source) if isinstance(source, Mapping) else source.to_dict(), what


def training_of(source: Source, consortium: Consortium) -> TrainingDocument:
    """Return a training's document however it is given; errors as :func:`read_training`."""
    if isinstance(source, TrainingDocument):
        return source
    return _training(*_content(source, "training"), consortium)


def settlement_of(source: Source, consortium: Consortium) -> SettlementDocument:
    """Return a settlement's document however it is given; errors as :func:`read_settlement`."""
    if isinstance(source, SettlementDocument):
        return source
    return _settlement(*_content(source, "settlement"), consortium)


def read_training(path: Path, consortium: Consortium) -> TrainingDocument:
    """Return a training document.

    Raises
    ------
    InputError
        It cannot be read, is no such document, or of another consortium.
    """
    return _training(read_json(path), path, consortium)


def _training(content: Any, path: object, consortium: Consortium) -> TrainingDocument:
    training = _checked(content, path, TrainingDocument, consortium)
    require_consistent(content, path)
    require_terms(content, consortium, path)
    if not len(training.accuracy) == len(training.loss) == training.rounds:  # without entries
        raise InputError.at(
            f"{path}: accuracy",
            f"expected a number for each of {training.rounds} rounds, in loss too; "
            f"got {len(training.accuracy)} and {len(training.loss)}",
        )
    return training


def read_settlement(path: Path, consortium: Consortium) -> SettlementDocument:
    """Return a settlement document.

    Raises
    ------
    InputError
        It cannot be read, is no such document, or of another consortium.
    """
    return _settlement(read_json(path), path, consortium)


def _settlement(content: Any, path: object, consortium: Consortium) -> SettlementDocument:
    settlement = _checked(content, path, SettlementDocument, consortium)
    if settlement.audit is None:
        what = "expected a table with the verdict of the audit"
        raise InputError.at(f"{path}: audit", what)
    return settlement


def require_agreement_of(
    settlement: SettlementDocument, consortium: Consortium, path: Path
) -> None:
    """Refuse a settlement that was agreed on under other terms than the consortium's.

    What is private (profitability, effort, transfer times, costs) is in no agreement.

    Raises
    ------
    InputError
        The hash of the consortium's agreement, with the accounts of the settlement, is another.
    MissingExtraError
        The settlement extra, which computes it, is not installed.
    """
    from tradefl.settlement import Agreement

    account = {organization.name: organization.address for organization in settlement.organizations}
    expected = Agreement.of(consortium, [account[name] for name in consortium.settling]).hash
    if settlement.agreement_hash != expected:
        what = f"expected that of {consortium.source}, {expected}, got {settlement.agreement_hash}"
        raise InputError.at(f"{path}: agreement_hash", f"{what}: other terms were settled")


def _checked(content: Any, path: object, kind: type[Read], consortium: Consortium) -> Read:
    members = content.get("organizations") if isinstance(content, dict) else None
    # Who settles may be one more than who trains: a payee.
    named = consortium.settling if kind is SettlementDocument else consortium.names
    if isinstance(members, list) and len(members) != len(named):
        what = f"expected {len(named):,} of them, got {len(members):,}"
        raise InputError.at(f"{path}: organizations", what)
    document = parsed(content, kind, path)
    if document.consortium != consortium.name:
        raise InputError.at(
            f"{path}: consortium", f"expected {consortium.name!r}, got {shown(document.consortium)}"
        )
    names = tuple(organization.name for organization in document.organizations)
    if sorted(names) != sorted(named):
        raise InputError.at(
            f"{path}: organizations", f"expected those of the consortium, got {shown(list(names))}"
        )
    return document


def training_section(training: TrainingDocument) -> Section:
    """Return how the training went: curves, and what each really contributed."""
    rounds = frames.training_rounds(training.model_dump())
    blocks: list[Block] = [
        Text(
            f"The model {training.model} was trained on {training.data} in "
            f"{counted(training.rounds, 'round')}, with the contributions that {training.scheme} "
            "computes. Each round every organization trains the common model on the share of its "
            "data that it pledged; their models are averaged, weighted by the samples used."
        ),
        Facts(
            (
                Fact("accuracy before", _fraction(training.initial_accuracy), "", "on test data"),
                Fact(
                    "accuracy after",
                    _fraction((training.accuracy or [training.initial_accuracy])[-1]),
                    "",
                    "on test data that nobody trained on",
                ),
                Fact("time", f"{training.runtime_seconds:,.1f} s", "", "on the machine that ran"),
            )
        ),
        Figure(
            "training-curves",
            charts.inline_svg(
                charts.training_curves(rounds),
                name="training-curves",
                label="Accuracy and loss after each round",
                description=f"Two curves over {counted(training.rounds, 'round')}: accuracy from "
                f"{_fraction(training.initial_accuracy)} to "
                f"{_fraction((training.accuracy or [training.initial_accuracy])[-1])}, and loss "
                f"from {_number(training.initial_loss)} to "
                f"{_number((training.loss or [training.initial_loss])[-1])}.",
            ),
            "Accuracy and loss on the test part after each round; round 0 is the untrained model.",
        ),
        Table(
            "rounds",
            "Accuracy and loss by round",
            (Column("round"), Column("accuracy"), Column("loss")),
            [
                (str(k), _number(accuracy), _number(loss))
                for k, (accuracy, loss) in enumerate(
                    zip(
                        [training.initial_accuracy, *training.accuracy],
                        [training.initial_loss, *training.loss],
                        strict=True,
                    )
                )
            ],
            folded=True,
        ),
        Table(
            "trained",
            "Pledged and measured contributions" + _of_many(len(training.organizations)),
            (
                Column("organization", text=True),
                Column("pledged d", "Eq. (13)"),
                Column("measured d", "Eq. (13)"),
                Column("samples used in a round"),
                Column("rounds present"),
                Column("frequency f", "Eq. (13)"),
            ),
            [
                (
                    organization.name,
                    f"{organization.pledged_fraction:.6f}",
                    f"{organization.measured_fraction:.6f}",
                    f"{organization.samples_used:,} of {organization.samples_held:,}",
                    f"{organization.rounds_present} of {organization.rounds_asked}",
                    quantity(organization.cpu_hz, "Hz"),
                )
                for organization in training.organizations[:ROWS]
            ],
        ),
    ]
    blocks += _incidents(training)
    notices = [*training.notices]
    if training.diverged:
        notices.insert(0, f"The training diverged: {training.diverged}.")
    if notices:
        blocks.append(Listing(notices))
    return Section("training", "The training", blocks)


def _incidents(training: TrainingDocument) -> list[Block]:
    """Return what was not as it should be, in order of rounds; nothing if all was."""
    found = [entry for entry in training.entries if entry.reason or entry.flags]
    if not found:
        return []
    rows = [
        (str(entry.round), entry.organization, *entry_in_words(entry.to_dict()))
        for entry in found[:ROWS]
    ]
    return [
        Table(
            "incidents",
            "Updates that were not as they should be" + _of_many(len(found)),
            (
                Column("round"),
                Column("organization", text=True),
                Column("outcome", text=True),
                Column("what happened", text=True),
            ),
            rows,
        )
    ]


def settlement_section(
    settlement: SettlementDocument, consortium: Consortium, solution: Solution
) -> Section:
    """Return what was settled on the chain: who was paid, the receipts, and the audit."""
    audit = settlement.audit or SettlementVerdict(agrees=False, checks=0, differences=[])
    members = settlement.organizations
    wei = (consortium.settlement or SettlementTerms()).wei_per_payoff
    game, terms = solution.game, solution.terms
    unit = unit_of(game)
    name = game.currency or "payoff"
    here = [
        float(
            terms.paid_out
            if member.name == game.mechanism.payee
            else terms.redistribution[game.index_of(member.name)]
        )
        * unit
        for member in members
    ]
    there = [int(member.redistribution_wei) / wei * unit for member in members]
    digits = digits_of([*here, *there])
    verdict = (
        f"An independent recalculation agrees with the chain in all of {audit.checks:,} checks."
        if audit.agrees
        else f"The recalculation does not agree with the chain: "
        f"{counted(len(audit.differences), 'difference')}."
    )
    blocks: list[Block] = [
        Text(
            "The payments are carried out by a contract on a chain, in whole wei. Everybody pays "
            "a deposit, reports what it contributed, and the contract computes who pays whom."
        ),
        Text(verdict, strong=not audit.agrees),
    ]
    if audit.differences:
        blocks.append(Listing(audit.differences[:ROWS]))
    blocks += [
        Facts(
            (
                Fact("phase", settlement.phase),
                Fact("chain id", str(settlement.chain_id)),
                Fact("contract", settlement.contract),
                Fact("agreement", settlement.agreement_hash),
                Fact("one payoff", f"{wei:,} wei"),
            )
        ),
        Table(
            "settled",
            "What each reported, deposited and withdrew" + _of_many(len(members)),
            (
                Column("organization", text=True),
                Column("reported d", "Eq. (13)"),
                Column("deposit (wei)"),
                Column("redistribution (wei)", "Eq. (10)"),
                Column(f"redistribution ({name})", "Eq. (10)"),
                Column(f"by this report ({name})", "Eq. (10)"),
                Column("withdrawn (wei)"),
            ),
            [
                (
                    member.name,
                    f"{member.data_ppb / 1e9:.9f}",
                    f"{int(member.deposit_wei):,}",
                    f"{int(member.redistribution_wei):,}",
                    *amounts((there[k], here[k]), digits),
                    f"{int(member.withdrawn_wei):,}",
                )
                for k, member in enumerate(members[:ROWS])
            ],
            footer=(
                "sum",
                "",
                f"{sum(int(member.deposit_wei) for member in members):,}",
                f"{sum(int(member.redistribution_wei) for member in members):,}",
                *amounts((sum(there), sum(here)), digits),
                f"{sum(int(member.withdrawn_wei) for member in members):,}",
            ),
        ),
        Text(
            "The chain counts in whole wei, and d in whole billionths, so both columns may differ "
            "in the last digits. They differ by more where the contributions that were reported "
            "are not those of this report. A report can be drawn for the reported ones, too."
        ),
        Table(
            "receipts",
            "The receipts, in the order of the chain" + _of_many(len(settlement.transactions)),
            (
                Column("call", text=True),
                Column("organization", text=True),
                Column("transaction", text=True),
                Column("block"),
                Column("gas"),
            ),
            [
                (
                    transaction.call,
                    transaction.organization or "",
                    transaction.hash,
                    str(transaction.block),
                    f"{transaction.gas:,}",
                )
                for transaction in settlement.transactions[:ROWS]
            ],
            footer=("sum", "", "", "", f"{settlement.gas_used:,}"),
        ),
    ]
    return Section("settlement", "The settlement", blocks)


def _of_many(count: int) -> str:
    return f" (the first {ROWS} of {count:,})" if count > ROWS else ""


def _fraction(value: float | None) -> str:
    return "not a number" if value is None else f"{value:.1%}"


def _number(value: float | None) -> str:
    return "not a number" if value is None else f"{value:.6g}"
