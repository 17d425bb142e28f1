"""What the calls of a settlement cost at most, before anybody has sent one.

An upper model: linear in what each call does, with coefficients above everything that was
measured (``contracts/snapshots/calls.json`` and the tests hold them to it). From it the lists are
cut into blocks when an agreement is drafted, and every agreement states its largest call.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tradefl.settlement import arithmetic, artifacts

if TYPE_CHECKING:
    from tradefl.settlement.agreement import Agreement

# The most gas that one transaction may use on Ethereum (EIP-7825); ours stay below it everywhere.
TRANSACTION_GAS = 16_777_216
ENVELOPE = 250  # bytes of a transaction in addition to its data: signature, fees, addresses
INTRINSIC, CALLDATA, FLOOR, CREATE_BYTE = 21_000, 16, 40, 200
SLOT = 22_200  # a slot that was zero


@dataclasses.dataclass(frozen=True)
class Limits:
    """What the chain takes.

    Attributes
    ----------
    block_gas
        Of a block.
    size
        Of a transaction, bytes.
    """

    block_gas: int
    size: int

    @property
    def gas(self) -> int:
        """The most gas of one call."""
        return min(self.block_gas, TRANSACTION_GAS)


class Call(NamedTuple):
    """A call at its most expensive: gas, and bytes of the transaction."""

    name: str
    gas: int
    size: int


_LEVEL, _LEVELS_OF_A_SLOT = 2_100, 4
_RECORDED = 3_800  # an organization of profileRecord
# An organization of payoffTransfer; with an arbiter each may have won or lost stakes. The most that
# a contract settles, 1,024, fits into a transaction even so.
_TRANSFERRED, _TRANSFERRED_WITH_STAKES = 14_500, 16_150


def _call(name: str, data: int, work: int) -> Call:
    """Return a call with so many bytes of data; whatever they are, none costs more than this."""
    return Call(name, INTRINSIC + max(CALLDATA * data + work, FLOOR * data), data + ENVELOPE)


def _packed(size: int) -> int:
    """Return how many bytes a call with one argument of so many bytes has at most."""
    return 4 + 4 * 32 + 32 * -(-size // 32)


def _deployed(name: str, code: int, runtime: int, slots: int, work: int) -> Call:
    """Return a creation through the factory: code and arguments, and what the constructor does."""
    creation = 40_000 + CREATE_BYTE * runtime + 10 * code + slots * SLOT + work
    return _call(name, _packed(code), creation)


def _entries(agreement: Agreement) -> list[tuple[int, int]]:
    """Return gas and bytes of each organization's entry of the list."""
    rule = agreement.rule
    costs = rule.gas
    found = []
    for i, levels in enumerate(agreement.cpu_levels_hz):
        points = rule.breakpoints(i)
        slots = -(-len(levels) // _LEVELS_OF_A_SLOT)
        work = costs.organization + costs.breakpoint * points
        work += SLOT * slots + _LEVEL * len(levels)
        found.append((work, 29 + 8 * len(levels) + (1 + 20 * points if points else 0)))
    return found


def _organizations(entries: Sequence[tuple[int, int]], per_block: int) -> Call:
    """Return the most expensive block of the list of organizations."""
    blocks = [entries[k : k + per_block] for k in range(0, len(entries), per_block)]
    calls = [
        _call(
            "organizationsPublish",
            _packed(sum(size for _, size in block)),
            60_000 + sum(work for work, _ in block),
        )
        for block in blocks
    ]
    return Call(calls[0].name, max(call.gas for call in calls), max(call.size for call in calls))


def _pairs(agreement: Agreement, per_block: int) -> tuple[Call, Call]:
    """Return the most expensive block of the pairs: published, and calculated."""
    n, costs = len(agreement), agreement.rule.gas
    count = min(per_block, n * (n - 1) // 2)
    data = _packed(count * agreement.rule.pair_bytes)
    return (
        _call("pairsPublish", data, 80_000 + count * costs.pair + n * costs.weight),
        _call("payoffCalculate", data, 60_000 + count * costs.payment + n * costs.redistribution),
    )


def cut(agreement: Agreement, limits: Limits) -> Agreement:
    """Return the agreement with the fewest blocks that fit the limits.

    Where even the smallest do not fit, they are the smallest; :func:`calls` then exceeds them.
    """

    def fits(*calls: Call) -> bool:
        return all(call.gas <= limits.gas and call.size <= limits.size for call in calls)

    n = len(agreement)
    entries = _entries(agreement)
    per_block = next((k for k in range(n, 0, -1) if fits(_organizations(entries, k))), 1)
    pairs = n * (n - 1) // 2
    least = max(1, -(-pairs // arithmetic.MAX_PAIR_BLOCKS))
    pairs_per_block = _largest(least, pairs, lambda k: fits(*_pairs(agreement, k)))
    return dataclasses.replace(
        agreement, organizations_per_block=per_block, pairs_per_block=pairs_per_block
    )


def _largest(least: int, most: int, fits: Callable[[int], bool]) -> int:
    """Return the largest number that fits, at least the least; what fits is an interval."""
    low, high = least, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def calls(agreement: Agreement) -> Iterator[Call]:
    """Yield every call of a settlement at its most expensive."""
    n = len(agreement)
    contract = agreement.rule.contract
    hashes = len(agreement.organization_blocks) + len(agreement.pair_blocks)
    yield _deployed(
        "deployment of the factory",
        len(artifacts.creation_bytecode(artifacts.FACTORY)),
        len(artifacts.runtime_bytecode(artifacts.FACTORY)),
        0,
        10_000,
    )
    yield _deployed(
        "deployment of the vault",
        len(agreement.vault_creation_code),
        len(artifacts.runtime_bytecode(artifacts.VAULT)),
        1,
        10_000,
    )
    yield _deployed(
        "deployment of the settlement",
        len(agreement.settlement_creation_code),
        len(artifacts.runtime_bytecode(contract)),
        hashes + 4,
        60_000 + 900 * hashes,
    )
    yield _call("annexPublish", _packed(len(agreement.annex)), 80_000 + 9 * len(agreement.annex))
    yield _organizations(_entries(agreement), agreement.organizations_per_block)
    yield from _pairs(agreement, agreement.pairs_per_block)
    yield _call("depositSubmit", 100, 250_000)
    yield _call("contributionSubmit", 500, 250_000)
    yield _call("profileRecord", 36, 80_000 + n * _RECORDED)
    yield _call("rule", 100, 250_000)
    transferred = _TRANSFERRED_WITH_STAKES if agreement.has_arbiter else _TRANSFERRED
    yield _call("payoffTransfer", 36, 120_000 + n * transferred)
    yield _call("withdraw", 68, 150_000)


def largest(agreement: Agreement) -> tuple[Call, Call]:
    """Return the call with the most gas, and the transaction with the most bytes."""
    found = list(calls(agreement))
    return max(found, key=lambda call: call.gas), max(found, key=lambda call: call.size)
