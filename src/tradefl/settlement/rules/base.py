r"""What a rule of payments is in an agreement: its integers, its bytes, and what follows from them.

The rules share the contract's life cycle. Each turns a report into a score and the scores into
payments; :class:`RuleTerms` is what differs, and nothing else is.

========= =========================== ============================== ==================
rule      score                       of each pair                   contract
========= =========================== ============================== ==================
linear    ``X_i``, ppb of a bit       ``rho_ij``, ppb                TradeFL
efficient ``phi_i(d_i)``, wei         ``k_ij``, wei                  TradeFLEfficient
========= =========================== ============================== ==================
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from tradefl.settlement import arithmetic
from tradefl.settlement.arithmetic import UINT128

if TYPE_CHECKING:
    from tradefl.consortium import Consortium
    from tradefl.game import Competition, Rule
    from tradefl.settlement.agreement import Agreement

Array = npt.NDArray[np.float64]
# Double precision of the real-valued statement itself: N terms, each rounded a few times.
DOUBLE = 2.0**-50


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """What one organization contributed, in the contract's integers; silent if it is zero."""

    data_ppb: int
    cpu_hz: int

    @property
    def silent(self) -> bool:
        """Whether there is nothing to report."""
        return self.data_ppb == 0


class Member(NamedTuple):
    """An organization, as far as a score depends on it: ``s_i``, bit, and ``F_i``, Hz."""

    data_bits: int
    cpu_levels_hz: tuple[int, ...]


class WeiTerm(NamedTuple):
    """One payment in its integers: what it is made of, the calculation, and the wei."""

    inputs: dict[str, int]
    calculation: str
    wei: int


class Drafting(Protocol):
    """A consortium on the way to integers, as a rule sees it; it collects what does not fit."""

    consortium: Consortium

    def integer(self, place: str, value: float, factor: int, least: int, limit: int) -> int:
        """Return a figure times a factor, rounded; a problem if it leaves its range."""

    def problem(self, place: str, message: str) -> None:
        """Note what does not fit, and where."""


class Published(NamedTuple):
    """What a contract has published of an agreement.

    Attributes
    ----------
    terms
        ``ITradeFL.Terms``, in its order.
    pair_blocks
        The bytes of the pairs, block by block.
    events
        The arguments of every event of the settlement, by the event's name.
    """

    terms: Sequence[Any]
    pair_blocks: Sequence[bytes]
    events: Mapping[str, Sequence[Mapping[str, Any]]]


class Gas(NamedTuple):
    """Gas of a rule's calls, in addition to what the bytes of their transactions cost."""

    organization: int  # published: an entry of the list
    breakpoint: int
    pair: int  # published: what it adds to the bonds
    weight: int  # an organization whose bond changes with a block of pairs
    payment: int  # of a pair
    redistribution: int  # an organization whose R changes with a block of pairs


class RuleTerms(ABC):
    """A rule's part of an agreement: its integers, bytes, bounds, conversions and checks."""

    name: ClassVar[str]
    contract: ClassVar[str]
    equation: ClassVar[str]  # of a line of the statement in wei
    formula: ClassVar[str]  # of a payment
    score_name: ClassVar[str]
    pair_bytes: ClassVar[int]
    gas: ClassVar[Gas]
    # The highest score that the contract can hold, exclusive.
    score_limit: ClassVar[int] = UINT128
    # Events that the rule adds: one for each organization that is listed.
    listed_events: ClassVar[tuple[str, ...]] = ()
    # What precedes the terms in the hashed bytes: the ABI types and values.
    hashed: ClassVar[tuple[tuple[str, bytes], ...]] = ()

    # --- from the file, from the chain, and back to the game --------------------------------------

    @classmethod
    @abstractmethod
    def drafted(cls, rule: Rule, draft: Drafting, wei_per_payoff: int) -> RuleTerms:
        """Return the integers of a consortium's rule; what does not fit is noted in the draft."""

    @classmethod
    @abstractmethod
    def published(cls, published: Published) -> RuleTerms:
        """Return the rule's part of what a contract has published."""

    @abstractmethod
    def parameters(self, agreement: Agreement, competition: Competition | None) -> dict[str, Any]:
        """Return the rule as parameters of a game: what the contract will pay, in payoff.

        Parameters
        ----------
        agreement
            Whose part this is.
        competition
            The game's, for a rule whose agreement has none; default: nobody competes.
        """

    @abstractmethod
    def bounds(self, consortium: Consortium, agreement: Agreement) -> Array:
        """Return the most that each ``R_i`` can differ from Eq. (10), shape ``(N,)``, wei."""

    def remarks(self, agreement: Agreement) -> list[str]:
        """Return what the contract does not check and an audit should say."""
        del agreement
        return []

    def excess(self, cap: int) -> str:
        """Return the message for an organization whose highest score the contract cannot hold."""
        return f"its highest score is {cap:,}; the contract counts up to {self.score_limit - 1:,}"

    def breakpoints(self, i: int) -> int:
        """Return how many breakpoints organization i's entry of the list has."""
        del i
        return 0

    # --- integers of ITradeFL.Terms ---------------------------------------------------------------

    @property
    def coefficients(self) -> tuple[int, int]:
        """``gamma`` and ``lambda`` of ``ITradeFL.Terms``; zeros where the rule has none."""
        return 0, 0

    # --- scores and payments ----------------------------------------------------------------------

    def share(self, i: int, data_ppb: Fraction) -> int:
        """Return the whole number of ppb that a share of organization i's data is reported as."""
        del i
        return round(data_ppb)

    @abstractmethod
    def score(self, i: int, member: Member, report: Report) -> int:
        """Return what a report of organization i counts for; silence counts for the least."""

    @abstractmethod
    def cap(self, i: int, member: Member) -> int:
        """Return the highest score of organization i."""

    @abstractmethod
    def score_calculation(self, i: int, member: Member, report: Report) -> str:
        """Return how the score of a report comes about, in integers."""

    @abstractmethod
    def bonds(self, members: Sequence[Member]) -> list[int]:
        """Return the least deposit of each organization, wei: the most that it could owe."""

    @abstractmethod
    def redistribution(self, scores: Sequence[int]) -> list[int]:
        """Return ``R_i`` of every organization, wei, Eq. (10)."""

    @abstractmethod
    def payment(self, size: int, i: int, j: int, scores: Sequence[int]) -> WeiTerm | None:
        """Return what j pays i; ``None`` for a pair that never settles anything."""

    # --- bytes ------------------------------------------------------------------------------------

    def entry(self, i: int) -> bytes:
        """Return what the rule adds to organization i's entry of the list."""
        del i
        return b""

    @property
    @abstractmethod
    def packed_pairs(self) -> bytes:
        """What is known of each pair ``i < j``, row by row, big-endian."""

    # --- documents --------------------------------------------------------------------------------

    @abstractmethod
    def explanation(self, calculation: str, score: int) -> list[str]:
        """Return how a score came about and what each payment is made of, for a statement."""

    @abstractmethod
    def score_to_dict(self, score: int) -> dict[str, Any]:
        """Return the score, and what is the same in every line of a statement, for JSON."""

    def inputs_to_dict(self, inputs: dict[str, int]) -> dict[str, Any]:
        """Return what a payment is made of for JSON; integers that may exceed 2^53 as text."""
        return {key: str(whole) for key, whole in inputs.items()}

    @abstractmethod
    def figures(self, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
        """Yield every figure of the rule and its place, in an order that depends on N only."""

    @abstractmethod
    def facts(self) -> list[tuple[str, str]]:
        """Return the figures that are one for all, for a table."""

    @abstractmethod
    def pairs(self, names: Sequence[str]) -> tuple[str, str, list[tuple[str, str, int]]]:
        """Return a heading, a symbol, and what is known of each pair for which it is not zero."""

    @classmethod
    @abstractmethod
    def from_document(cls, document: Mapping[str, Any], names: Sequence[str]) -> RuleTerms:
        """Return the rule's part of a ``tradefl/agreement/1`` document.

        Raises
        ------
        ValueError, TypeError, KeyError
            It is not one of this rule.
        """

    @abstractmethod
    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the rule's keys of the JSON document of an agreement."""

    def member_to_dict(self, i: int) -> dict[str, Any]:
        """Return the rule's keys of organization i in the JSON document."""
        del i
        return {}

    def annex(self, consortium: Consortium) -> dict[str, Any]:
        """Return the rule's keys of the annex."""
        del consortium
        return {}


def by_names(names: Sequence[str], triangle: Sequence[int]) -> list[tuple[str, str, int]]:
    """Return the entries of an upper triangle that are not zero, by names."""
    return [
        (names[i], names[j], whole)
        for (i, j), whole in zip(arithmetic.pairs(len(names)), triangle, strict=True)
        if whole
    ]


def triangle_of(named: Any, names: Sequence[str]) -> tuple[int, ...]:
    """Return the upper triangle of which a document lists what is not zero."""
    known = {name: i for i, name in enumerate(names)}
    triangle = [0] * (len(names) * (len(names) - 1) // 2)
    for payer, other, whole in named:
        i, j = known[payer], known[other]
        if i >= j:
            raise ValueError("pairs: expected the order of the organizations")
        triangle[place(i, j, len(names))] = int(whole)
    return tuple(triangle)


def place(i: int, j: int, size: int) -> int:
    """Return the place of the pair ``i < j`` in the upper triangle, row by row."""
    return i * size - i * (i + 1) // 2 + j - i - 1


def upper_rows(consortium: Consortium) -> Iterable[np.ndarray[Any, np.dtype[np.float64]]]:
    """Yield ``rho_ij`` for ``j > i``, one dense row an organization, after any rescaling."""
    game = consortium.game
    for i in range(game.size):
        row = np.zeros(game.size)
        competitors, rho = game.competition.row(i)
        row[competitors] = rho
        yield row[i + 1 :]


def map_unique(
    convert: Callable[[float], int], values: np.ndarray[Any, np.dtype[np.float64]]
) -> list[int]:
    """Return ``convert`` of every value, called once for each distinct one."""
    distinct, where = np.unique(values, return_inverse=True)
    converted = [convert(value) for value in distinct.tolist()]
    return [converted[k] for k in where.tolist()]


def error_of(whole: int, value: float, factor: int) -> float:
    """Return how far an integer is from the figure that it represents, scaled."""
    return float(abs(whole - Fraction(value) * factor))
