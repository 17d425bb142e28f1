"""What every command does before it signs: pin the agreement, derive, verify, say what is signed.

The agreement comes from a file, a document or a hash that the user has, never from a node. From it
follow the addresses of the factory, the vault and the settlement; what is there must be the code
that the agreement names.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from eth_account import Account

from tradefl.consortium import Consortium, load
from tradefl.consortium.files import read_json
from tradefl.consortium.schema import suggestion
from tradefl.errors import InputError, Parameter
from tradefl.settlement import artifacts
from tradefl.settlement.addresses import default_factory, factory_deployer_key
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.chains import Chain, KeySigner, Receipt, StateChangedError
from tradefl.settlement.contract import ChainError, Phase, RevertedError, encoded_call, runs
from tradefl.settlement.ethereum import checksum, parsed_hash
from tradefl.settlement.published import MAX_ATTEMPTS, is_derived, published_agreement
from tradefl.settlement.settle import PATIENCE
from tradefl.settlement.state import read_phase

OFFLINE_ATTEMPTS = 100  # that an address without a node may be of
LOOKS = 4  # before a factory that ought to be there is missing for certain
BETWEEN_LOOKS = 0.5  # s
LOSSES = 2  # how often money for the factory may be gone again, by reorganizations
FACTORY_OFFERED = 250_000  # gas: more than its deployment is offered
FACTORY_GAS = 500_000  # what is paid for in advance: fees may rise before it is in a block
ALL = "all"


# --- which agreement ------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Money:
    """What a unit of payoff is worth, by a consortium file that names a currency.

    Attributes
    ----------
    currency
        The currency's name.
    payoff_unit
        The amount of it that is one unit of payoff.
    """

    currency: str
    payoff_unit: float

    @classmethod
    def of(cls, consortium: Consortium) -> Money | None:
        """Return the money of a file; ``None`` where it names no currency."""
        if consortium.currency is None:
            return None
        return cls(consortium.currency, consortium.payoff_unit)


@dataclasses.dataclass(frozen=True)
class Pin:
    """An agreement as the user names it.

    Attributes
    ----------
    hash
        Its hash; terms from a node count only if this is theirs.
    agreement
        The agreement itself, unless only the hash is known.
    source
        Where it is from, for messages.
    money
        What a unit of payoff is worth; ``None``: only a consortium file can say it.
    """

    hash: str
    agreement: Agreement | None
    source: str
    money: Money | None = None


def pinned(source: str, chain_id: int | None = None) -> Pin:
    """Return the agreement that a file, a document or a hash names.

    Parameters
    ----------
    source
        A consortium file (TOML), a ``tradefl/agreement/1`` document (JSON), or a hash: 64
        hexadecimal digits, with or without ``0x``.
    chain_id
        The chain where a consortium file names none.

    Raises
    ------
    InputError
        It is not one of these, or the file lacks an account.
    """
    named = parsed_hash(source)
    if named is not None:
        return Pin(named, None, "the hash")
    if not source:
        what = "expected a consortium file, an agreement document or a hash, got nothing"
        raise InputError.at(Parameter("agreement"), what)
    path = Path(source)
    if path.suffix == ".json":
        agreement = Agreement.from_document(read_json(path), path)
        return Pin(agreement.hash, agreement, source)
    consortium = load(path)
    agreement = Agreement.of(consortium, chain_id=chain_id)
    return Pin(agreement.hash, agreement, source, Money.of(consortium))


def agreed_on(
    chain: Chain, pin: Pin, contract: str | None, first_block: int = 0
) -> Agreement | None:
    """Return the pinned agreement; terms from a contract count only if they hash to it.

    ``None`` while a contract has not published everything, where only the hash is known.

    Raises
    ------
    ChainError
        The contract settles another agreement, it is not at an address that follows from this one,
        or it is not known.
    """
    agreement = pin.agreement
    if agreement is None:
        if contract is None:
            what = "expected the settlement's address: a hash alone does not say where it is"
            raise ChainError(Parameter("contract"), what)
        agreement = published_agreement(chain, contract, first_block)
        if agreement is None:
            return None
    require_chain(chain, agreement)
    if agreement.hash != pin.hash:
        raise ChainError(
            contract or chain.place,
            f"settles the agreement {agreement.hash}, and {pin.source} is {pin.hash}; "
            "nothing was signed. tradefl audit names every difference",
        )
    if contract is not None:
        require_derived(chain, agreement, contract)
    return agreement


def require_chain(chain: Chain, agreement: Agreement) -> None:
    """Refuse a chain that is not the agreement's.

    Raises
    ------
    ChainError
        The node is on another chain.
    """
    if chain.chain_id != agreement.chain_id:
        raise ChainError(
            chain.place,
            f"is chain {chain.chain_id}, and the agreement is for chain {agreement.chain_id}",
        )


def require_derived(chain: Chain, agreement: Agreement, contract: str) -> int:
    """Return the attempt at an address; refuse one that does not follow from the agreement.

    Raises
    ------
    ChainError
        It is another address.
    """
    attempt = is_derived(chain, agreement, contract)
    if attempt is None:
        raise ChainError(
            contract,
            f"is not the settlement of the agreement {agreement.hash}, which is at "
            f"{agreement.settlement_address()} (or a later attempt's address); nothing was signed",
        )
    return attempt


def acting(
    agreement: Agreement, available: Sequence[str], named: Sequence[str], *, implied: bool
) -> list[str]:
    """Return the organizations' accounts for which a process acts.

    Parameters
    ----------
    agreement
        The agreement.
    available
        The accounts whose keys are here.
    named
        Names of organizations, or ``all``; empty: the only one whose key is here.
    implied
        Whether several keys act without being named: those of a development node.

    Raises
    ------
    InputError
        A name is unknown, its key is missing, ``all`` is the name of an organization, or several
        keys are here and none is named.
    """
    accounts = dict(zip(agreement.names, agreement.addresses, strict=True))
    here = [name for name, account in accounts.items() if account in available]
    if not named:
        if len(here) > 1 and not implied:
            raise InputError.at(
                Parameter("organizations"),
                f"expected a name: the keystore has keys of {', '.join(here)}; name those that "
                f"shall act, or '{ALL}'",
            )
        return [accounts[name] for name in here]
    if ALL in named:
        if ALL in accounts:
            what = f"an organization has the name '{ALL}', so it does not say who acts; keep the "
            what += "keys of each in a folder of its own, and name nobody"
            raise InputError.at(Parameter("organizations"), what)
        return [accounts[name] for name in here]
    for name in named:
        if name not in accounts:
            what = f"no organization {name!r} in the agreement{suggestion(name, agreement.names)}"
            raise InputError.at(Parameter("organizations"), what)
        if name not in here:
            what = f"no key of {name}'s account {accounts[name]} here"
            raise InputError.at(Parameter("organizations"), what)
    return [accounts[name] for name in dict.fromkeys(named)]


# --- where it is ----------------------------------------------------------------------------------


def attested_contract(agreement: Agreement, contract: str | None, chain: Chain | None) -> str:
    """Return the settlement's address, for which a verifier signs.

    Parameters
    ----------
    agreement
        The agreement.
    contract
        What the user expects; it must follow from the agreement.
    chain
        Where later attempts are looked for; ``None``: without a node, the address given, or that
        of the first attempt.

    Raises
    ------
    InputError
        The address does not follow from the agreement.
    """
    if chain is not None:
        require_chain(chain, agreement)
        if contract is not None:
            require_derived(chain, agreement, contract)
            return checksum(contract)
        return located(chain, agreement).contract
    if contract is None:
        return agreement.settlement_address()
    derived = map(agreement.settlement_address, range(OFFLINE_ATTEMPTS))
    if checksum(contract) not in derived:
        raise ChainError(
            contract,
            f"is not the settlement of the agreement {agreement.hash}, which is at "
            f"{agreement.settlement_address()}; nothing was signed",
        )
    return checksum(contract)


@dataclasses.dataclass(frozen=True)
class Located:
    """Where an agreement is settled, or will be.

    Attributes
    ----------
    attempt
        Which; one follows the other only once it is cancelled.
    contract
        The derived address.
    exists
        Whether the contract is there.
    """

    attempt: int
    contract: str
    exists: bool


def located(chain: Chain, agreement: Agreement, accounts: Sequence[str] = ()) -> Located:
    """Return where an agreement is settled.

    A cancelled attempt counts as long as one of these accounts has money in it; then the next.

    Raises
    ------
    ChainError
        What is at the address is not the contract of the agreement.
    """
    for attempt in range(MAX_ATTEMPTS):
        contract = agreement.settlement_address(attempt)
        if not chain.code(contract):
            return Located(attempt, contract, exists=False)
        require_settlement(chain, agreement, contract)
        here = Located(attempt, contract, exists=True)
        if read_phase(chain, contract) != Phase.CANCELLED:
            return here
        if any(_has_money(chain, agreement, contract, account) for account in accounts):
            return here
    raise ChainError(chain.place, f"the agreement was cancelled {MAX_ATTEMPTS} times")


def _has_money(chain: Chain, agreement: Agreement, contract: str, account: str) -> bool:
    place = chain.read(contract, "organization", agreement.addresses.index(account))
    return place["joined"] and not place["withdrawn"]


def require_settlement(chain: Chain, agreement: Agreement, contract: str) -> None:
    """Refuse a settlement that a node shows at a derived address and that is not ours.

    Raises
    ------
    ChainError
        Its code, its agreement or its vault is another.
    """
    name = agreement.rule.contract
    if not runs(name, chain.code(contract)):
        raise _foreign(chain, contract, f"not the code of {name}")
    own = "0x" + chain.read(contract, "agreementHash").hex()
    if own != agreement.hash:
        shown = "another agreement, {own}" if int(own, 16) else "no agreement"
        raise _foreign(chain, contract, shown.format(own=own))
    vault = chain.read(contract, "vault")
    if vault != agreement.vault:
        raise _foreign(chain, contract, f"another vault, {vault}")
    if not runs(artifacts.VAULT, chain.code(vault)):
        raise _foreign(chain, vault, "not the code of Vault")


def _foreign(chain: Chain, address: str, what: str) -> ChainError:
    return ChainError(
        chain.place,
        f"shows {what} at {address}, where the agreement's contract must be; this run signed no "
        "deposit. Use another node",
    )


# --- deployment -----------------------------------------------------------------------------------


def established(
    chain: Chain,
    agreement: Agreement,
    operator: str,
    accounts: Sequence[str] = (),
    watch: Callable[[str, Receipt], None] = lambda _call, _receipt: None,
) -> str:
    """Deploy what is missing of factory, vault and settlement; return the settlement's address.

    Deploying gives no rights, and several deployments at once are harmless.

    Parameters
    ----------
    chain
        With the operator's key.
    agreement
        What will be settled.
    operator
        The account that pays for the deployments.
    accounts
        For whom this process acts; see :func:`located`.
    watch
        Called with the name and the receipt of every transaction.

    Raises
    ------
    ChainError
        The chain is not the agreement's, what is at a derived address is not ours, or the operator
        cannot pay.
    """
    require_chain(chain, agreement)
    agreement.require_codes()
    for _ in range(PATIENCE):
        try:
            return _deployed(chain, agreement, operator, accounts, watch)
        except StateChangedError:
            continue  # a reorganization has undone what was there: begin again
    raise ChainError(chain.place, f"the deployment was undone {PATIENCE} times")


def _deployed(
    chain: Chain,
    agreement: Agreement,
    operator: str,
    accounts: Sequence[str],
    watch: Callable[[str, Receipt], None],
) -> str:
    """Deploy what is missing, in order; see :func:`established`."""
    if not chain.code(agreement.factory):
        _create_factory(chain, agreement, operator, watch)
    if chain.code(agreement.factory) != artifacts.runtime_bytecode(artifacts.FACTORY):
        raise _foreign(chain, agreement.factory, "not the code of Factory")
    salt = bytes.fromhex(agreement.series[2:])
    parts: list[tuple[str, str, bytes, bytes]] = [
        ("deployment of the vault", agreement.vault, salt, agreement.vault_creation_code)
    ]
    where = located(chain, agreement, accounts)
    salt = agreement.settlement_salt(where.attempt)
    parts.append(("deployment", where.contract, salt, agreement.settlement_creation_code))
    for call, address, salt, code in parts:
        if not chain.code(address):
            data = encoded_call("deploy", salt, code)
            for receipt in _sent(chain, operator, agreement.factory, data, call, address):
                watch(call, receipt)
    require_settlement(chain, agreement, where.contract)
    if where.attempt:  # the deposit of the attempt before is back
        for account in accounts:
            if account in chain.signers:
                chain.returned(account, agreement.hash)
    return where.contract


def _sent(
    chain: Chain, sender: str, to: str | None, data: bytes, call: str, address: str
) -> Iterator[Receipt]:
    """Send what creates a contract until there is code at its address; yield the receipts."""
    for _ in range(PATIENCE):
        if chain.code(address):
            return
        try:
            receipt = chain.transact(sender, to=to, data=data, call=call)
        except StateChangedError:
            continue
        yield receipt
        if receipt.succeeded and not chain.code(address):
            # A reorganization may have undone it meanwhile, or the factory that was to create it.
            if not _is_in_its_block(chain, receipt) or (to is not None and not chain.code(to)):
                raise StateChangedError
            raise ChainError(
                chain.place,
                f"has a receipt of the {call}, but no code at {address}: use another node",
            )
    if not chain.code(address):
        raise ChainError(chain.place, f"the {call} was overtaken {PATIENCE} times")


def _is_in_its_block(chain: Chain, receipt: Receipt) -> bool:
    """Return whether the block of a receipt is still one of the chain's."""
    header = chain.header(receipt.block)
    return header is not None and receipt.block_hash in ("", header.hash)


def _create_factory(
    chain: Chain, agreement: Agreement, operator: str, watch: Callable[[str, Receipt], None]
) -> None:
    """Create the default factory with the published key, from money of the operator."""
    if agreement.factory != default_factory():
        raise ChainError(
            f"agreement {agreement.hash}: factory",
            f"there is no contract at {agreement.factory} on {chain.place}; deploy the factory "
            "there first, or leave settlement.factory out",
        )
    key = KeySigner(Account.from_key(factory_deployer_key()))
    code, call = artifacts.creation_bytecode(artifacts.FACTORY), "deployment of the factory"
    added = key.address not in chain.signers
    sent = lost = looks = 0
    chain.signers[key.address] = key
    try:
        for _ in range(PATIENCE):
            # In this order: what uses the key up is what creates the factory, if all is well.
            used = chain.transaction_count(key.address)
            if chain.code(agreement.factory):
                return
            if used:
                looks += 1
                if looks < LOOKS:  # the node that was asked for the code may be behind
                    time.sleep(BETWEEN_LOOKS)
                    continue
                raise ChainError(
                    chain.place,
                    f"on chain {chain.chain_id} the first transaction of {key.address} did not "
                    "create the factory: the key is public, and somebody has used it up. Deploy "
                    "the factory from another account and name it in settlement.factory",
                )
            try:
                held = chain.balance(key.address)
                if held < sent:  # and it has sent nothing
                    sent, lost = 0, lost + 1
                    if lost == LOSSES:
                        raise ChainError(
                            chain.place,
                            f"does not show what {key.address} was sent for the factory; use "
                            "another node",
                        )
                if held < chain.fee_of(FACTORY_OFFERED):
                    value = chain.fee_of(FACTORY_GAS) - held
                    funding = chain.transact(
                        operator, to=key.address, data=b"", value=value, call="funding"
                    )
                    watch("funding of the factory", funding)
                    sent += value if funding.succeeded else 0
                    continue  # fees may have risen further meanwhile
                watch(call, chain.transact(key.address, to=None, data=code, call=call))
            except (StateChangedError, RevertedError):
                continue  # another client was faster
    finally:
        if added:
            del chain.signers[key.address]
    if not chain.code(agreement.factory):
        raise ChainError(chain.place, f"the {call} was overtaken {PATIENCE} times")
