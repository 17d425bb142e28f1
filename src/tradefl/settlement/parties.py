"""Whom this process acts for in a settlement: the chain, the accounts, the agreement."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tradefl.consortium import Consortium
from tradefl.errors import InputError, Problem
from tradefl.settlement.agreement import ZERO_ADDRESS, Agreement, checksum
from tradefl.settlement.chains import (
    Chain,
    EmbeddedChain,
    KeySigner,
    NodeSigner,
    RpcChain,
    StateChangedError,
)
from tradefl.settlement.contract import ChainError, Phase
from tradefl.settlement.keys import keystore_accounts, open_keystore, password_from
from tradefl.settlement.settle import (
    PATIENCE,
    Attest,
    Progress,
    Settlement,
    Step,
    deploy,
    find,
    published_agreement,
    read_phase,
)
from tradefl.settlement.terms import Report


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
    """

    chain: Chain
    agreement: Agreement
    operator: str
    consortium: Consortium
    notes: tuple[str, ...] = ()

    def settlement(
        self,
        reports: Mapping[str, Report],
        attest: Attest | None = None,
        *,
        watch: Callable[[Progress], None] = lambda _: None,
        contract: str | None = None,
        first_block: int = 0,
    ) -> Settlement:
        """Return the settlement of the agreement: the given one, one on the chain, or a new one.

        One on the chain is one of the same agreement hash and our bytecode. One that is settled
        comes first: nothing is settled twice, whoever deploys copies. Else it is the first that is
        not finished, so that all who look at the same time choose the same.
        """
        if contract is None:
            contract = self._found(first_block) or self._deployed(watch)
            # Another may have deployed at the same time: then both see both now.
            contract = self._found(first_block) or contract
        contract = checksum(contract)
        return Settlement(self.chain, self.agreement, contract, reports, attest, first_block)

    def _found(self, first_block: int) -> str | None:
        found = find(self.chain, self.agreement, first_block)
        phases = [read_phase(self.chain, one) for one in found]
        for wanted in ({Phase.SETTLED}, set(Phase) - {Phase.SETTLED, Phase.CANCELLED}):
            for one, phase in zip(found, phases, strict=True):
                if phase in wanted:
                    return one
        # A cancelled one is history, unless it still holds a deposit of ours.
        mine = [one for one in self.agreement.addresses if one in self.chain.signers]
        for one in found:
            if any(self.chain.read(one, "creditOf", account) for account in mine):
                return one
        return None

    def _deployed(self, watch: Callable[[Progress], None]) -> str:
        for _ in range(PATIENCE):
            try:
                receipt = deploy(self.chain, self.agreement, self.operator)
            except StateChangedError:
                # What this account had sent before a crash was a deployment, perhaps this one.
                found = self._found(0)
                if found is not None:
                    return found
                continue
            watch(Progress(Step("deployment"), None, receipt))
            return str(receipt.contract)
        raise ChainError(self.chain.place, f"the deployment was overtaken {PATIENCE} times")


def embedded(consortium: Consortium) -> Parties:
    """Return everybody on a new embedded chain, under stand-in accounts.

    Raises
    ------
    InputError
        A figure of the consortium does not fit the contract's integers.
    """
    n = len(consortium)
    # Before the chain starts: an agreement that does not fit should not wait for it.
    Agreement.of(consortium, [f"0x{i + 1:040x}" for i in range(n)])
    chain = EmbeddedChain(n)
    addresses = list(chain.signers)[:n]
    notes = [f"{chain.place} lives in this process only; its accounts are stand-ins"]
    section = consortium.settlement
    if section is not None and section.verifier is not None:
        section = section.model_copy(update={"verifier": chain.verifier})
        notes.append(f"a stand-in signs for the verifier too: {chain.verifier}")
    who = dataclasses.replace(consortium.organizations, addresses=tuple(addresses))
    settled = dataclasses.replace(consortium, organizations=who, settlement=section)
    return Parties(chain, Agreement.of(settled), chain.operator, settled, tuple(notes))


def on_node(
    consortium: Consortium,
    rpc: str,
    *,
    contract: str | None = None,
    keystore: Path | None = None,
    password_file: Path | None = None,
    prompt: Callable[[], str],
    expected_chain_id: int | None = None,
    confirmations: int = 0,
    timeout: float = 120.0,
    first_block: int = 0,
) -> Parties:
    """Return those whose accounts are here, on a node's chain.

    Organizations without an address in the file get one: that of the contract, if it is known;
    with a keystore, that of the file with their name; else the next unlocked account of the node.

    Raises
    ------
    InputError
        The node cannot be reached or is on another chain, an account is missing, the password is
        wrong, or the contract settles another agreement.
    """
    chain = RpcChain(rpc, confirmations=confirmations, timeout=timeout)
    if expected_chain_id is not None and chain.chain_id != expected_chain_id:
        raise ChainError(chain.place, f"is chain {chain.chain_id}, expected {expected_chain_id}")
    files = {} if keystore is None else keystore_accounts(keystore)
    here = list(files) if keystore is not None else chain.unlocked()
    if not here:
        raise ChainError(
            chain.place, "the node signs for no account; give --keystore with the keys"
        )
    published = None if contract is None else published_agreement(chain, contract, first_block)
    if published is not None and published.names == consortium.names:
        theirs = dict(zip(published.names, published.addresses, strict=True))
        addresses = _filled(consortium, theirs.get, "that of the contract")
    elif keystore is not None:
        by_name = {path.stem: address for address, path in files.items()}
        addresses = _filled(consortium, by_name.get, f"{keystore}/<name>.json")
    else:
        used = {one.lower() for one in consortium.organizations.addresses if one is not None}
        free = iter([one for one in here if one.lower() not in used])
        addresses = _filled(consortium, lambda _: next(free, None), "an unlocked account")
    agreement = Agreement.of(consortium, addresses)
    if contract is not None:
        own = "0x" + chain.read(contract, "agreementHash").hex()
        if own != agreement.hash:
            raise ChainError(
                contract,
                f"settles the agreement {own}, the file is {agreement.hash}; "
                "tradefl audit names every difference",
            )
    wanted = {*agreement.addresses, agreement.verifier, agreement.arbiter} - {ZERO_ADDRESS}
    mine = [one for one in here if one in wanted] or here[:1]
    signers: Sequence[KeySigner | NodeSigner]
    if keystore is not None:
        word = password_from(password_file, prompt)
        signers = open_keystore({address: files[address] for address in mine}, lambda: word)
    else:
        signers = [NodeSigner(one) for one in mine]
    chain.signers = {one.address: one for one in signers}
    operator = next((one for one in agreement.addresses if one in chain.signers), mine[0])
    others = [
        name
        for name, address in zip(agreement.names, agreement.addresses, strict=True)
        if address not in chain.signers
    ]
    notes = [f"no keys here for {', '.join(others)}: they do their own part"] if others else []
    return Parties(chain, agreement, operator, consortium, tuple(notes))


def _filled(
    consortium: Consortium, account: Callable[[str], str | None], expected: str
) -> list[str | None]:
    """Return the file's addresses, and an account where there is none."""
    addresses: list[str | None] = []
    problems = []
    for name, address in zip(consortium.names, consortium.organizations.addresses, strict=True):
        found = address if address is not None else account(name)
        if found is None:
            what = f"has no address, and there is none for it here (expected {expected})"
            problems.append(Problem(f"{consortium.source}: {name}", what))
        addresses.append(found)
    if problems:
        raise InputError(problems)
    return addresses
