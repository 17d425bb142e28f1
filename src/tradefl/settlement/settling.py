"""From contributions to an audited settlement: what every front end calls.

:func:`settle` does every step that is due, on an embedded chain or on a node's, and ends with the
audit. :func:`audit` audits what is on a chain already, or rehearses it.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tradefl.arguments import (
    CONTRIBUTIONS,
    FUNCTION,
    GAME,
    MAPPING,
    NAMES,
    PATH,
    SECONDS,
    TEXT,
    TRUTH,
    accepts,
    choice,
    either,
    instance,
    optional,
    whole,
)
from tradefl.consortium import Consortium
from tradefl.consortium.playing import consortium_of
from tradefl.documents.settlement import SettlementDocument
from tradefl.errors import InputError, Parameter
from tradefl.game import CoopetitionGame
from tradefl.notebook import Shown
from tradefl.settlement.accounts import Parties, embedded, on_node
from tradefl.settlement.attestation import attestations_from
from tradefl.settlement.audit import Audit
from tradefl.settlement.audit import audit as audit_contract
from tradefl.settlement.chains import FeeCaps, RpcChain
from tradefl.settlement.commitment import first_deposits
from tradefl.settlement.contract import Phase
from tradefl.settlement.ethereum import parsed_address
from tradefl.settlement.profile import Contributions, reports_for
from tradefl.settlement.session import Money
from tradefl.settlement.settle import Attest, Progress, Settlement
from tradefl.settlement.state import State
from tradefl.solvers import DEFAULT_METHOD, METHODS

Sign = Callable[[Sequence[tuple[str, str]]], None]
Watch = Callable[[Progress], None]
Wait = Callable[[Settlement, int | None, State], bool]
WHOLE = ("_wei", "_hz")  # whole numbers that JSON carries as text
ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class AuditedSettlement(Shown):
    """The state of a settlement once everything due is done, and its audit.

    Attributes
    ----------
    settlement
        The agreement on its way through the contract, with the chain.
    parties
        The accounts that acted; ``parties.consortium`` is the file as settled.
    state
        The contract's state after the last step.
    audit
        The settlement recomputed from the chain.
    document
        The JSON document ``tradefl/settlement/1``.
    notes
        What the reader should know.
    """

    settlement: Settlement
    parties: Parties
    state: State
    audit: Audit
    document: SettlementDocument
    notes: tuple[str, ...]

    @property
    def settled(self) -> bool:
        """Whether the contract has computed the payments, so that all can be withdrawn."""
        return self.state.phase == Phase.SETTLED

    def paid(self) -> dict[str, int]:
        """Return ``R_i`` by organization, wei: positive for what it receives."""
        return {place.name: int(place.redistribution_wei) for place in self.document.organizations}

    def _title(self) -> str:
        return f"of {self.document.consortium}: contract {self.settlement.contract}"

    def _facts(self) -> list[tuple[str, str]]:
        return [("phase", self.state.phase.name.lower()), ("audit", self.audit.sentence)]

    def _records(self) -> list[dict[str, Any]]:
        return [
            {key: int(value) if key.endswith(WHOLE) else value for key, value in place.items()}
            for place in self.to_dict()["organizations"]
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON document ``tradefl/settlement/1``."""
        return self.document.to_dict()


@accepts(
    consortium=GAME,
    profile=optional(CONTRIBUTIONS),
    method=choice(METHODS),
    report=TRUTH,
    rpc=optional(either(TEXT, NAMES)),
    contract=optional(TEXT),
    keystore=optional(PATH),
    password_file=optional(PATH),
    password=optional(either(TEXT, FUNCTION)),
    organizations=NAMES,
    attestations=optional(either(PATH, MAPPING)),
    max_deposit=optional(whole()),
    payout=optional(TEXT),
    chain_id=optional(whole(1)),
    caps=optional(instance("tradefl.settlement.chains.fees.FeeCaps")),
    state=optional(PATH),
    confirmations=whole(),
    timeout=SECONDS,
    first_block=whole(),
    sign=FUNCTION,
    started=FUNCTION,
    watch=FUNCTION,
    wait=FUNCTION,
)
def settle(
    consortium: Consortium | CoopetitionGame,
    profile: Contributions | None = None,
    *,
    method: str = DEFAULT_METHOD,
    report: bool = True,
    rpc: str | Sequence[str] | None = None,
    contract: str | None = None,
    keystore: str | os.PathLike[str] | None = None,
    password_file: str | os.PathLike[str] | None = None,
    password: str | Callable[[], str] | None = None,
    organizations: Sequence[str] = (),
    attestations: str | os.PathLike[str] | Mapping[str, object] | None = None,
    max_deposit: int | None = None,
    payout: str | None = None,
    chain_id: int | None = None,
    caps: FeeCaps | None = None,
    state: str | os.PathLike[str] | None = None,
    confirmations: int = 0,
    timeout: float = 120.0,
    first_block: int = 0,
    sign: Sign = lambda _facts: None,
    started: Callable[[Settlement], None] = lambda _settlement: None,
    watch: Watch = lambda _step: None,
    wait: Wait = lambda _settlement, _until, _state: False,
) -> AuditedSettlement:
    """Deploy or find the contract, do every step that is due, and audit the result.

    Without ``rpc`` all of it happens on an embedded chain that exists within this call, where
    stand-in accounts act for everybody.

    Parameters
    ----------
    consortium
        Who settles; a game is settled as the consortium of
        :meth:`~tradefl.consortium.Consortium.from_game`.
    profile
        The contributions: a strategy profile, a solution, a training, a solution or training
        document, or the path of one; default: the solution.
    method
        The solver of the contributions, and of CPU frequencies that a document leaves out.
    report
        Whether to report contributions; the agents of a negotiation do it themselves.
    rpc
        An Ethereum node, or several that must give the same answers.
    contract
        The settlement's address, where it is known; it must follow from the agreement.
    keystore, password_file, password
        The folder of encrypted keys, and its password: from a file, else the environment, else
        this text or function. Without a keystore a development node signs.
    organizations
        Names of those for whom this process acts, or ``all``.
    attestations
        The verifier's signatures by organization, or the file that has them.
    max_deposit
        The most that an organization deposits, wei.
    payout
        The address to which withdrawals go; default: the account itself.
    chain_id
        The chain's id; any other chain is refused.
    caps, state
        The most to spend on fees; the folder where signed transactions are recorded.
    confirmations, timeout, first_block
        Blocks on top before a step counts; seconds to wait for the node; where to begin looking
        for the contract.
    sign
        Called with what the first deposits commit to, as labels and texts; may raise to stop.
    started
        Called with the settlement before its first step.
    watch
        Called with each completed step.
    wait
        Called when nothing is left but to wait; returns whether to look again.

    Raises
    ------
    InputError
        Contributions do not fit the agreement, a parameter is wrong or needs ``rpc``, the node
        does not answer, or the contract refuses a step that is due.
    """
    consortium = consortium_of(consortium)
    if not rpc:
        _require_rpc(
            contract=contract,
            keystore=keystore,
            password_file=password_file,
            attestations=attestations,
            chain_id=chain_id,
            caps=caps,
            state=state,
            organizations=organizations or None,
            max_deposit=max_deposit,
            payout=payout,
            first_block=first_block or None,
        )
    contract = None if contract is None else _address("contract", contract)
    payout = None if payout is None else _address("payout", payout)
    if rpc:
        parties = on_node(
            consortium,
            rpc,
            contract=contract,
            keystore=None if keystore is None else Path(keystore),
            password_file=None if password_file is None else Path(password_file),
            prompt=lambda: _password(password),
            expected_chain_id=chain_id,
            confirmations=confirmations,
            timeout=timeout,
            first_block=first_block,
            organizations=organizations,
            caps=caps,
            state=None if state is None else Path(state),
        )
    else:
        parties = embedded(consortium)
    notes: list[str] = []
    agreement = parties.agreement
    reports = {}
    if report:
        found = reports_for(agreement, consortium, profile, method, notes.append)
        reports = dict(zip(agreement.addresses, found, strict=True))
    attest: Attest | None = None
    serials: Mapping[str, int] = {}
    if attestations is not None:
        attest, serials = attestations_from(attestations, agreement)
    if rpc:
        facts = first_deposits(
            parties.chain, agreement, parties.accounts, max_deposit, Money.of(consortium)
        )
        if facts:
            sign(facts)
    if payout == agreement.vault:
        what = "expected another address than that of the vault"
        raise InputError.at(Parameter("payout"), what)
    settlement = parties.settlement(
        reports,
        attest,
        watch=watch,
        contract=contract,
        first_block=first_block,
        serials=serials,
        payout=payout,
    )
    started(settlement)
    return audited(settlement, parties, notes=notes, watch=watch, wait=wait)


def audited(
    settlement: Settlement,
    parties: Parties,
    *,
    notes: Sequence[str] = (),
    watch: Watch = lambda _step: None,
    wait: Wait = lambda _settlement, _until, _state: False,
) -> AuditedSettlement:
    """Do every step of a settlement that is due, and audit the result.

    Parameters
    ----------
    settlement, parties
        The settlement, and the accounts that act.
    notes
        What is known already; notes of the accounts and of the audit are added.
    watch, wait
        As in :func:`settle`.
    """
    state = settlement.run(
        operator=parties.operator,
        watch=watch,
        wait=lambda until, state: wait(settlement, until, state),
    )
    found = audit_contract(
        settlement.chain, settlement.contract, parties.consortium, settlement.first_block
    )
    document = settlement.document(found.verdict)
    if (consortium := parties.consortium).currency is not None:
        money = {"currency": consortium.currency, "payoff_unit": consortium.payoff_unit}
        document = document.model_copy(update=money)
    remarks = (*notes, *parties.notes, *found.notes, *overruled(settlement, state))
    return AuditedSettlement(settlement, parties, state, found, document, remarks)


@accepts(
    settlement=optional(either(GAME, instance("tradefl.settlement.settling.AuditedSettlement"))),
    rpc=optional(either(TEXT, NAMES)),
    contract=optional(TEXT),
    first_block=whole(),
)
def audit(
    settlement: Consortium | CoopetitionGame | AuditedSettlement | None = None,
    *,
    rpc: str | Sequence[str] | None = None,
    contract: str | None = None,
    first_block: int = 0,
) -> Audit:
    """Recompute a settlement from the chain's events, to the wei; no key is needed.

    Parameters
    ----------
    settlement
        With ``rpc``: the consortium that the contract is compared with, or ``None``. Without: what
        :func:`settle` returned, which is audited again on its chain; or a consortium or a game,
        which is settled on an embedded chain first: a rehearsal.
    rpc, contract
        The node, and the settlement's address there.
    first_block
        Where to begin looking for the contract.

    Raises
    ------
    InputError
        ``rpc`` or ``contract`` is missing, there is no settlement of ours, or the node does not
        keep its logs.
    """
    if isinstance(settlement, AuditedSettlement):
        done = settlement.settlement
        return audit_contract(
            done.chain, done.contract, settlement.parties.consortium, done.first_block
        )
    consortium = None if settlement is None else consortium_of(settlement)
    if rpc and contract is not None:
        return audit_contract(
            RpcChain(rpc), _address("contract", contract), consortium, first_block
        )
    if rpc or contract is not None or consortium is None:
        missing = "contract" if rpc else "rpc"
        what = "is needed: an audit reads a chain, or rehearses with a consortium alone"
        raise InputError.at(Parameter(missing), what)
    if first_block:
        _require_rpc(first_block=first_block)
    return settle(consortium).audit


def overruled(settlement: Settlement, state: State) -> list[str]:
    """Return which reports on the chain differ from what was asked for: they stay."""
    return [
        f"{name}: d = {place.report.data_ppb:,} ppb, f = {place.report.cpu_hz:,} Hz is on the "
        f"chain, not {wanted.data_ppb:,} ppb, {wanted.cpu_hz:,} Hz; a report is made once, or with "
        "a higher serial number of the verifier"
        for name, place in zip(settlement.agreement.names, state.places, strict=True)
        if (wanted := settlement.reports.get(place.account)) is not None
        and place.reported
        and wanted != place.report
    ]


def _require_rpc(**parameters: object) -> None:
    for name, value in parameters.items():
        if value is not None:
            what = "requires `rpc`: an embedded chain exists only within one run"
            raise InputError.at(Parameter(name), what)


def _address(parameter: str, text: str) -> str:
    if not ADDRESS.fullmatch(text) or int(text, 16) == 0:
        what = f"expected 0x and 40 hexadecimal digits, not all zero, got {text[:50]!r}"
        raise InputError.at(Parameter(parameter), what)
    return parsed_address(Parameter(parameter), text)


def _password(given: str | Callable[[], str] | None) -> str:
    if given is None:
        what = "is needed for the keys: pass it, or name `password_file`"
        raise InputError.at(Parameter("password"), what)
    return given if isinstance(given, str) else given()
