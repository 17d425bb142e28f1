r"""What a contract has published: whether it is a settlement of ours, and of which agreement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tradefl.errors import InputError, Parameter
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.chains import Chain, MissingLogsError
from tradefl.settlement.contract import (
    ChainError,
    Deployment,
    Event,
    Phase,
    deployment,
    drafted_by,
    runs,
    topic,
)
from tradefl.settlement.ethereum import checksum
from tradefl.settlement.rules import RULES, Published
from tradefl.settlement.state import read_phase
from tradefl.text import printable

MAX_ATTEMPTS = 1000  # that are looked at


def drafted(chain: Chain, contract: str, first_block: int = 0) -> tuple[Event, Deployment]:
    """Return the event of a contract's deployment, and what was deployed: by which rule, and how.

    The code at the address must be ours, and the terms and lists of the event must have the hash
    that the contract returns. That the contract was created by our code, too, follows from its
    address once the annex is known: :func:`is_derived`.

    Raises
    ------
    ChainError
        There is no contract at the address, it is not ours, or the node does not keep its logs.
    """
    code = chain.code(contract)
    if not code:
        raise ChainError(contract, f"there is no contract at this address on {chain.place}")
    rules = [name for name, rule in RULES.items() if runs(rule.contract, code)]
    if not rules:
        raise ChainError(
            contract,
            "is not a TradeFL settlement of this version: its code is that of neither rule",
        )
    found = chain.events(contract, first_block, [topic("AgreementDrafted")])
    if not found and first_block > 0:
        what = f"no deployment of it from block {first_block:,} on; begin earlier"
        raise ChainError(Parameter("first_block"), what)
    if not found:
        raise ChainError(
            contract,
            f"has our code, but {chain.place} has no event of its creation: either this node does "
            "not keep its logs (ask another one), or it was not created by our code",
        )
    own = chain.read(contract, "agreementHash")
    for event in found:
        deployed = drafted_by(event.arguments)
        if deployed and deployed.rule == rules[0] and event.arguments["agreementHash"] == own:
            return event, deployed
    raise ChainError(contract, "its event does not have the terms of the hash that it returns")


def was_created(chain: Chain, event: Event, deployed: Deployment) -> bool:
    """Return whether the transaction of a contract's event created it, with our bytecode.

    It is the proof for a contract whose address does not follow from its agreement.
    """
    receipt = chain.receipt(event.transaction)
    if receipt is None or receipt.contract != event.arguments["address"]:
        return False
    return deployment(chain.sent(event.transaction)[1]) == deployed


def is_derived(chain: Chain, agreement: Agreement, contract: str) -> int | None:
    """Return the attempt of which an address is the settlement's; ``None``: of none.

    What is at a derived address was created by the code that the agreement names.
    """
    for attempt in range(MAX_ATTEMPTS):
        address = agreement.settlement_address(attempt)
        if address == checksum(contract):
            return attempt
        if not chain.code(address):
            return None
    return None


def published_agreement(chain: Chain, contract: str, first_block: int = 0) -> Agreement | None:
    """Return the agreement that a contract has published; ``None`` while parts are missing.

    Raises
    ------
    ChainError
        There is no settlement of ours at the address, or the node does not keep its logs.
    """
    with chain.pinned():
        event, deployed = drafted(chain, contract, first_block)
        agreement = decoded_agreement(deployed, chain.events(contract, event.block))
        if agreement is None and read_phase(chain, contract) != Phase.DRAFTING:
            raise MissingLogsError(
                chain.place,
                f"this node does not keep all logs of the settlement {contract}: its agreement is "
                "published, and the node lacks parts of it; ask another node",
            )
    return agreement


def decoded_agreement(deployed: Deployment, events: Sequence[Event]) -> Agreement | None:
    """Return the agreement that a contract's events hold; ``None`` while parts are missing."""
    terms = deployed.terms

    def named(name: str) -> list[dict[str, Any]]:
        return [event.arguments for event in events if event.name == name]

    annexes = [event["annex"] for event in named("AnnexPublished")]
    listed = sorted(named("OrganizationListed"), key=lambda event: int(event["index"]))
    published = {event["blockIndex"]: event["data"] for event in named("PairsPublished")}
    complete = annexes and len(listed) == terms[0] and len(published) == len(deployed.pair_hashes)
    if not complete:
        return None
    blocks = [published[k] for k in sorted(published)]
    kind = RULES[deployed.rule]
    rule = kind.published(
        Published(terms, blocks, {name: named(name) for name in kind.listed_events})
    )
    try:
        return Agreement.decode(
            terms,
            [(event["account"], event["dataBits"], event["levels"]) for event in listed],
            rule,
            annexes[0],
        )
    except InputError as error:
        # The deployer writes it, and the contract knows its hash only.
        (problem, *_) = error.problems
        what = f"its agreement cannot be read: {problem.place}: {problem.message}"
        raise ChainError(listed[0]["address"], what) from None
    except (ValueError, TypeError, KeyError) as error:
        what = f"its annex is not one of this version: {printable(error, 120)}"
        raise ChainError(listed[0]["address"], what) from None
