r"""The agreement as the contract has it: canonical bytes, their hash, and back.

The contract is deployed with the terms and the hashes of two lists of blocks: the organizations,
and what the rule knows of each pair. Anybody may publish the blocks afterwards, so that the
agreement can be read from the chain alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tradefl.settlement.annex import read_annex
from tradefl.settlement.drafting import WINDOWS
from tradefl.settlement.ethereum import ZERO_ADDRESS, checksum, keccak, settlement_extra
from tradefl.settlement.rules import LinearTerms, RuleTerms

if TYPE_CHECKING:
    from tradefl.settlement.agreement import Agreement

# The types of ITradeFL.Terms, in its order.
TERMS = (
    "(uint16,uint128,uint64,uint32,uint128,address,address,address,uint32,uint32,uint32,uint32,"
    "uint32,uint128,uint32,uint16,uint32,bytes32)"
)
TERMS_FIELDS = (
    "size",
    "gamma",
    "lambdaPpb",
    "minDataPpb",
    "weiPerPayoff",
    "token",
    "verifier",
    "arbiter",
    "joinSeconds",
    "reportSeconds",
    "disputeSeconds",
    "rulingSeconds",
    "closingBlocks",
    "disputeStakeWei",
    "spotAuditPpb",
    "organizationsPerBlock",
    "pairsPerBlock",
    "annexHash",
)
CONSTRUCTOR = ("address", TERMS, "bytes32[]", "bytes32[]")


def terms(agreement: Agreement) -> tuple[Any, ...]:
    """Return ``ITradeFL.Terms``, in its order."""
    return (
        len(agreement),
        *agreement.rule.coefficients,
        agreement.min_data_ppb,
        agreement.wei_per_payoff,
        ZERO_ADDRESS,  # token: the chain's own currency
        agreement.verifier,
        agreement.arbiter,
        agreement.join_seconds,
        agreement.report_seconds,
        agreement.dispute_seconds,
        agreement.ruling_seconds,
        agreement.closing_blocks,
        agreement.dispute_stake_wei,
        0,  # spotAuditPpb
        agreement.organizations_per_block,
        agreement.pairs_per_block,
        keccak(agreement.annex),
    )


def organization_blocks(agreement: Agreement) -> tuple[bytes, ...]:
    """Return the list of organizations, packed, so many to a block."""
    entries = [
        bytes.fromhex(address[2:])
        + s.to_bytes(8, "big")
        + bytes([len(levels)])
        + b"".join(level.to_bytes(8, "big") for level in levels)
        + agreement.rule.entry(i)
        for i, (address, s, levels) in enumerate(
            zip(agreement.addresses, agreement.data_bits, agreement.cpu_levels_hz, strict=True)
        )
    ]
    size = agreement.organizations_per_block
    return tuple(b"".join(entries[start : start + size]) for start in range(0, len(entries), size))


def pair_blocks(agreement: Agreement) -> tuple[bytes, ...]:
    """Return what the rule knows of each pair, packed, so many pairs to a block."""
    packed, size = (
        agreement.rule.packed_pairs,
        agreement.pairs_per_block * agreement.rule.pair_bytes,
    )
    return tuple(packed[start : start + size] for start in range(0, len(packed), size))


def agreement_hash(agreement: Agreement) -> str:
    """Return ``keccak256(abi.encode(terms, organizationBlocks, pairBlocks))``.

    Under the efficient rule the word ``efficient`` precedes the terms, so that no two rules share
    a hash.
    """
    with settlement_extra("the agreement's hash"):
        from eth_abi.abi import encode
    rule = agreement.rule
    types, values = zip(*rule.hashed, strict=True) if rule.hashed else ((), ())
    encoded = encode(
        [*types, TERMS, "bytes32[]", "bytes32[]"], [*values, *agreement.constructor_arguments]
    )
    return "0x" + keccak(encoded).hex()


def decoded(
    of: type[Agreement],
    terms: Sequence[Any],
    organizations: Sequence[tuple[str, int, Sequence[int]]],
    rule: RuleTerms,
    annex: bytes,
) -> Agreement:
    """Return the agreement that a contract published; see :meth:`Agreement.decode`."""
    size, _, _, min_data_ppb, wei_per_payoff, _, verifier, arbiter, *rest = terms
    windows, (closing, stake, _, per_block, pairs_per_block, _) = rest[:4], rest[4:]
    document = read_annex(annex)
    names = document["organizations"]
    if document.get("rule", LinearTerms.name) != rule.name:
        raise ValueError(f"annex: expected the rule {rule.name}, got {document['rule']!r}")
    if not size == len(organizations) == len(names):
        raise ValueError(f"{len(organizations)} accounts and {len(names)} names for {size}")
    return of(
        names=tuple(names),
        addresses=tuple(checksum(address) for address, _, _ in organizations),
        data_bits=tuple(s for _, s, _ in organizations),
        cpu_levels_hz=tuple(tuple(levels) for *_, levels in organizations),
        rule=rule,
        min_data_ppb=min_data_ppb,
        wei_per_payoff=wei_per_payoff,
        verifier=checksum(verifier),
        arbiter=checksum(arbiter),
        **dict(zip(WINDOWS, windows, strict=True)),
        closing_blocks=closing,
        dispute_stake_wei=stake,
        organizations_per_block=per_block,
        pairs_per_block=pairs_per_block,
        annex=annex,
    )


def plain_terms(values: Any) -> list[Any]:
    """Return terms as a list, addresses in lower case."""
    return [value.lower() if isinstance(value, str) else value for value in values]
