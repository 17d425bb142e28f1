"""Whom this process acts for in a settlement: the chain, the accounts, the agreement."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tradefl.consortium import Consortium
from tradefl.errors import InputError, Parameter, Problem
from tradefl.settlement.accounts.keystore import keystore_accounts, open_keystore, password_from
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.chains import (
    Chain,
    EmbeddedChain,
    FeeCaps,
    Journal,
    KeySigner,
    NodeSigner,
    Receipt,
    RpcChain,
)
from tradefl.settlement.contract import ChainError
from tradefl.settlement.ethereum import ZERO_ADDRESS
from tradefl.settlement.published import published_agreement
from tradefl.settlement.rules import Report
from tradefl.settlement.session import acting, established, located, require_derived
from tradefl.settlement.settle import Attest, Progress, Settlement
from tradefl.settlement.steps import Step


@dataclasses.dataclass(frozen=True)
class Parties:
    """A chain with accounts on it, and the agreement between them.

    Attributes
    ----------
    chain
        With the accounts that this process may use.
    agreement
        In integers, every organization with its account.
    operator
        The account for what anyone may do.
    consortium
        The file as settled: on the embedded chain, with stand-ins for its accounts.
    notes
        What the reader should know of the accounts.
    accounts
        The organizations for which this process acts.
    """

    chain: Chain
    agreement: Agreement
    operator: str
    consortium: Consortium
    notes: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()

    def settlement(
        self,
        reports: Mapping[str, Report],
        attest: Attest | None = None,
        *,
        watch: Callable[[Progress], None] = lambda _: None,
        contract: str | None = None,
        first_block: int = 0,
        serials: Mapping[str, int] | None = None,
        payout: str | None = None,
    ) -> Settlement:
        """Return the settlement of the agreement; deploy what is missing of its contracts.

        Parameters
        ----------
        reports, attest, first_block, serials, payout
            See :class:`~tradefl.settlement.settle.Settlement`.
        watch
            Called with each completed step.
        contract
            The address that the user expects; it must follow from the agreement.

        Raises
        ------
        ChainError
            It does not, or what is at the derived address is not ours.
        """
        sent: list[tuple[str, Receipt]] = []

        def note(call: str, receipt: Receipt) -> None:
            sent.append((call, receipt))
            watch(Progress(Step(call), None, receipt))

        if contract is not None:
            require_derived(self.chain, self.agreement, contract)
        found = established(self.chain, self.agreement, self.operator, self.accounts, note)
        return Settlement(
            self.chain,
            self.agreement,
            found,
            reports,
            attest,
            first_block,
            serials or {},
            payout,
            sent,
        )

    def existing(self, contract: str | None = None, first_block: int = 0) -> Settlement:
        """Return the settlement of the agreement that is on the chain; nothing is deployed.

        Raises
        ------
        ChainError
            The key is missing, or its address is not the one that the user expects.
        """
        if contract is not None:
            require_derived(self.chain, self.agreement, contract)
        where = located(self.chain, self.agreement, self.accounts)
        if not where.exists:
            raise ChainError(
                self.chain.place,
                f"the agreement {self.agreement.hash} is not settled there: no contract at "
                f"{where.contract}; tradefl settle begins",
            )
        return Settlement(self.chain, self.agreement, where.contract, {}, first_block=first_block)


def embedded(consortium: Consortium) -> Parties:
    """Return everybody on a new embedded chain, under stand-in accounts.

    Raises
    ------
    InputError
        A figure of the consortium does not fit the contract's integers.
    """
    n = len(consortium.settling)
    # Before the chain starts: an agreement that does not fit should not wait for it.
    named = None if consortium.settlement is None else consortium.settlement.chain_id
    Agreement.of(consortium, [f"0x{i + 1:040x}" for i in range(n)], chain_id=named)
    chain = EmbeddedChain(n)
    addresses = list(chain.signers)[:n]
    notes = [f"{chain.place} lives in this process only; its accounts are stand-ins"]
    section = consortium.settlement
    if section is not None and section.chain_id not in (None, chain.chain_id):
        notes.append(f"it replaces chain {section.chain_id}, so the agreement has another hash")
        section = section.model_copy(update={"chain_id": None})
    if section is not None and section.verifier is not None:
        section = section.model_copy(update={"verifier": chain.verifier})
        notes.append(f"a stand-in signs for the verifier too: {chain.verifier}")
    settled = dataclasses.replace(consortium.with_accounts(addresses), settlement=section)
    agreement = Agreement.of(settled)
    return Parties(chain, agreement, chain.operator, settled, tuple(notes), agreement.addresses)


def on_node(
    consortium: Consortium,
    rpc: str | Sequence[str],
    *,
    contract: str | None = None,
    keystore: Path | None = None,
    password_file: Path | None = None,
    prompt: Callable[[], str],
    expected_chain_id: int | None = None,
    confirmations: int = 0,
    timeout: float = 120.0,
    first_block: int = 0,
    organizations: Sequence[str] = (),
    arbiter: bool = False,
    caps: FeeCaps | None = None,
    state: Path | None = None,
) -> Parties:
    """Return those whose accounts are here, on a node's chain.

    ``organizations`` names who acts: one key that is alone in the keystore may be implied, several
    act only when named (``all``), and the accounts of a development node act for everybody. With
    ``arbiter`` the arbiter acts alone. What keys sign is recorded in the folder ``state`` (default:
    the user's), and fees stay within ``caps``.

    Organizations without an address in the file get one: that of the contract, if it is known;
    with a keystore, that of the file with their name; else the next unlocked account of the node.

    Raises
    ------
    InputError
        The node cannot be reached or is on another chain, an account is missing, the password is
        wrong, or the contract settles another agreement.
    """
    # An unlocked account is a development node's: its chain ends with it.
    journal = None if keystore is None else Journal.open(state)
    chain = RpcChain(rpc, confirmations=confirmations, timeout=timeout, caps=caps, journal=journal)
    if expected_chain_id is not None and chain.chain_id != expected_chain_id:
        raise ChainError(chain.place, f"is chain {chain.chain_id}, expected {expected_chain_id}")
    files = {} if keystore is None else keystore_accounts(keystore)
    here = list(files) if keystore is not None else chain.unlocked()
    if not here:
        raise ChainError(
            chain.place, "the node signs for no account; give `keystore` with the keys"
        )
    published = None if contract is None else published_agreement(chain, contract, first_block)
    if published is not None and published.names == consortium.settling:
        theirs = dict(zip(published.names, published.addresses, strict=True))
        addresses = _filled(consortium, theirs.get, "that of the contract")
    elif keystore is not None:
        by_name = {path.stem: address for address, path in files.items()}
        addresses = _filled(consortium, by_name.get, f"{keystore}/<name>.json")
    else:
        used = {account.lower() for account in consortium.accounts if account is not None}
        free = iter([account for account in here if account.lower() not in used])
        addresses = _filled(consortium, lambda _: next(free, None), "an unlocked account")
    agreement = Agreement.of(consortium, addresses, chain_id=chain.chain_id)
    if published is not None and published.hash != agreement.hash:
        raise ChainError(
            str(contract),
            f"settles the agreement {published.hash}, the file is {agreement.hash}; "
            "tradefl audit names every difference",
        )
    if contract is not None:
        require_derived(chain, agreement, contract)
    accounts = [] if arbiter else acting(agreement, here, organizations, implied=keystore is None)
    if arbiter:
        mine = [_arbiter(consortium, agreement, here)]
    else:
        others = {agreement.verifier, agreement.arbiter} - {ZERO_ADDRESS, *agreement.addresses}
        # The keys of verifier and arbiter sign only for those who have named whose keys act.
        named = keystore is None or bool(organizations) or not accounts
        mine = [*accounts, *(account for account in here if named and account in others)] or here[
            :1
        ]
    signers: Sequence[KeySigner | NodeSigner]
    if keystore is not None:
        word = password_from(password_file, prompt)
        signers = open_keystore({address: files[address] for address in mine}, lambda: word)
    else:
        signers = [NodeSigner(account) for account in mine]
    chain.signers = {signer.address: signer for signer in signers}
    operator = accounts[0] if accounts else mine[0]
    absent = [
        name
        for name, address in zip(agreement.names, agreement.addresses, strict=True)
        if address not in chain.signers
    ]
    notes = [f"no keys here for {', '.join(absent)}: they do their own part"] if absent else []
    return Parties(chain, agreement, operator, consortium, tuple(notes), tuple(accounts))


def _arbiter(consortium: Consortium, agreement: Agreement, here: Sequence[str]) -> str:
    """Return the arbiter's account; refuse where there is no arbiter, or not its key."""
    if not agreement.has_arbiter:
        what = "is missing: the agreement has no arbiter, so reports are final"
        raise InputError.at(f"{consortium.source}: settlement.arbiter", what)
    if agreement.arbiter not in here:
        what = f"no key of the arbiter {agreement.arbiter} here"
        raise InputError.at(Parameter("keystore"), what)
    return agreement.arbiter


def _filled(
    consortium: Consortium, account: Callable[[str], str | None], expected: str
) -> list[str | None]:
    """Return the file's addresses; an account of the chain where the file has no address."""
    addresses: list[str | None] = []
    problems = []
    for name, address in zip(consortium.settling, consortium.accounts, strict=True):
        found = address if address is not None else account(name)
        if found is None:
            what = f"has no address, and no account here fits it (expected {expected})"
            problems.append(Problem(f"{consortium.source}: {name}", what))
        addresses.append(found)
    if problems:
        raise InputError(problems)
    return addresses
