r"""What a rule of payments is in an agreement: its integers, its bytes, and what follows from them.

Two rules share the contract's life cycle. Each turns a report into a score and the scores into
payments; here is what differs, and nothing else is.

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
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, ClassVar, NamedTuple

import numpy as np

from tradefl.settlement import arithmetic
from tradefl.settlement.arithmetic import PPB


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


class RuleTerms(ABC):
    """A rule's part of an agreement."""

    name: ClassVar[str]
    contract: ClassVar[str]
    equation: ClassVar[str]  # of a line of the statement in wei
    formula: ClassVar[str]  # of a payment
    score_name: ClassVar[str]
    pair_bytes: ClassVar[int]
    # What stands in front of the terms in what is hashed: the ABI types and values.
    hashed: ClassVar[tuple[tuple[str, bytes], ...]] = ()

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

    def annex(self) -> dict[str, Any]:
        """Return the rule's keys of the annex."""
        return {}


def _named(names: Sequence[str], triangle: Sequence[int]) -> list[tuple[str, str, int]]:
    """Return the entries of an upper triangle that are not zero, by names."""
    return [
        (names[i], names[j], whole)
        for (i, j), whole in zip(arithmetic.pairs(len(names)), triangle, strict=True)
        if whole
    ]


def _triangle(named: Any, names: Sequence[str]) -> tuple[int, ...]:
    """Return the upper triangle of which a document lists what is not zero."""
    known = {name: i for i, name in enumerate(names)}
    triangle = [0] * (len(names) * (len(names) - 1) // 2)
    for one, other, whole in named:
        i, j = known[one], known[other]
        if i >= j:
            raise ValueError("pairs: expected the order of the organizations")
        triangle[place(i, j, len(names))] = int(whole)
    return tuple(triangle)


def place(i: int, j: int, size: int) -> int:
    """Return where the pair ``i < j`` stands in the upper triangle, row by row."""
    return i * size - i * (i + 1) // 2 + j - i - 1


@dataclasses.dataclass(frozen=True)
class LinearTerms(RuleTerms):
    """The paper's rule, Eq. (9), in integers.

    Attributes
    ----------
    gamma
        wei per bit, times 10^18.
    lambda_ppb
        ppb of bit/Hz.
    rho_ppb
        ``rho_ij`` for ``i < j``, row by row, ppb.
    """

    gamma: int
    lambda_ppb: int
    rho_ppb: tuple[int, ...]

    name = "linear"
    contract = "TradeFL"
    equation = "Eq. (9)"
    formula = "gamma * rho_ij * (X_i - X_j) / 10^36"
    score_name = "X"
    pair_bytes = 4

    @classmethod
    def decode(cls, terms: Sequence[Any], pair_blocks: Sequence[bytes]) -> LinearTerms:
        """Return the rule's part of what a contract published."""
        rho = np.frombuffer(b"".join(pair_blocks), dtype=">u4").tolist()
        return cls(gamma=terms[1], lambda_ppb=terms[2], rho_ppb=tuple(rho))

    @classmethod
    def from_document(cls, document: Mapping[str, Any], names: Sequence[str]) -> LinearTerms:
        """Return gamma, lambda and every rho of a document."""
        return cls(
            gamma=int(document["gamma"]),
            lambda_ppb=int(document["lambda_ppb"]),
            rho_ppb=_triangle(document["rho_ppb"], names),
        )

    @property
    def coefficients(self) -> tuple[int, int]:
        """``gamma`` and ``lambda``."""
        return self.gamma, self.lambda_ppb

    def rho(self, size: int, i: int, j: int) -> int:
        """Return ``rho_ij``, ppb."""
        return 0 if i == j else self.rho_ppb[place(min(i, j), max(i, j), size)]

    def score(self, i: int, member: Member, report: Report) -> int:
        """Return ``X_i``, ppb of a bit."""
        del i
        return arithmetic.contribution(
            report.data_ppb, member.data_bits, self.lambda_ppb, report.cpu_hz
        )

    def cap(self, i: int, member: Member) -> int:
        """Return ``Xmax_i``, ppb of a bit: all its data and its fastest level."""
        most = Report(data_ppb=PPB, cpu_hz=member.cpu_levels_hz[-1])
        return self.score(i, member, most)

    def score_calculation(self, i: int, member: Member, report: Report) -> str:
        """Return ``d s + lambda f`` in integers."""
        del i
        return f"{report.data_ppb} * {member.data_bits} + {self.lambda_ppb} * {report.cpu_hz}"

    def bonds(self, members: Sequence[Member]) -> list[int]:
        """Return ``gamma sum_j rho_ij Xmax_j``, rounded up."""
        caps = [self.cap(i, member) for i, member in enumerate(members)]
        return [arithmetic.bond(self.gamma, w) for w in arithmetic.weights(caps, self.rho_ppb)]

    def redistribution(self, scores: Sequence[int]) -> list[int]:
        """Return ``R_i``, wei, Eq. (10)."""
        return arithmetic.redistribution(self.gamma, self.rho_ppb, scores)

    def payment(self, size: int, i: int, j: int, scores: Sequence[int]) -> WeiTerm | None:
        """Return ``t_ij``, Eq. (9); ``None`` where rho is zero."""
        rho, x_i, x_j = self.rho(size, i, j), scores[i], scores[j]
        if rho == 0:
            return None
        return WeiTerm(
            {"rho_ppb": rho, "x_i": x_i, "x_j": x_j},
            f"{self.gamma} * {rho} * ({x_i} - {x_j}) / 10^36",
            arithmetic.compensation(self.gamma, rho, x_i, x_j),
        )

    def explanation(self, calculation: str, score: int) -> list[str]:
        """Return ``X`` and Eq. (9)."""
        return [
            f"X = d s + lambda f = {calculation} = {score} ppb of a bit",
            f"each line: {self.formula}, cut toward zero; gamma = {self.gamma}",
        ]

    def score_to_dict(self, score: int) -> dict[str, Any]:
        """Return ``X`` and gamma."""
        return {"contribution_ppb_bits": str(score), "gamma": str(self.gamma)}

    def inputs_to_dict(self, inputs: dict[str, int]) -> dict[str, Any]:
        """Return rho as a number, ``X_i`` and ``X_j`` as text."""
        return super().inputs_to_dict(inputs) | {"rho_ppb": inputs["rho_ppb"]}

    @property
    def packed_pairs(self) -> bytes:
        """Rho, a big-endian uint32 a pair."""
        return np.array(self.rho_ppb, dtype=">u4").tobytes()

    def figures(self, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
        """Yield gamma, lambda and every rho."""
        yield "gamma", self.gamma
        yield "lambda_ppb", self.lambda_ppb
        for (i, j), rho in zip(arithmetic.pairs(len(names)), self.rho_ppb, strict=True):
            yield f"rho_ppb of {names[i]} and {names[j]}", rho

    def facts(self) -> list[tuple[str, str]]:
        """Return gamma and lambda."""
        return [
            ("gamma", f"{self.gamma:,} (wei per bit, times 10^18)"),
            ("lambda", f"{self.lambda_ppb:,} ppb of bit/Hz"),
        ]

    def pairs(self, names: Sequence[str]) -> tuple[str, str, list[tuple[str, str, int]]]:
        """Return rho."""
        return "Competition intensities, ppb", "rho", _named(names, self.rho_ppb)

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """Return gamma, lambda and the rho that are not zero."""
        return {
            "gamma": str(self.gamma),
            "lambda_ppb": str(self.lambda_ppb),
            "rho_ppb": [list(one) for one in _named(names, self.rho_ppb)],
        }


@dataclasses.dataclass(frozen=True)
class EfficientTerms(RuleTerms):
    """The efficient rule in integers.

    Attributes
    ----------
    schedules
        ``phi_i`` of each organization: its breakpoints, share in ppb and value in wei.
    constants
        ``k_ij`` for ``i < j``, row by row, wei.
    """

    schedules: tuple[tuple[tuple[int, int], ...], ...]
    constants: tuple[int, ...]

    name = "efficient"
    contract = "TradeFLEfficient"
    equation = "Eq. (9e)"
    formula = "(phi_i - phi_j) / (N - 1) + k_ij"
    score_name = "phi"
    pair_bytes = 16
    hashed = (("bytes32", b"efficient".ljust(32, b"\0")),)

    @classmethod
    def decode(
        cls,
        schedules: Sequence[tuple[Sequence[int], Sequence[int]]],
        pair_blocks: Sequence[bytes],
    ) -> EfficientTerms:
        """Return the rule's part of what a contract published.

        Parameters
        ----------
        schedules
            The shares and the values of each organization.
        pair_blocks
            The blocks of the constants.
        """
        packed, width = b"".join(pair_blocks), cls.pair_bytes
        return cls(
            schedules=tuple(tuple(zip(*one, strict=True)) for one in schedules),
            constants=tuple(
                int.from_bytes(packed[k : k + width], "big", signed=True)
                for k in range(0, len(packed), width)
            ),
        )

    @classmethod
    def from_document(cls, document: Mapping[str, Any], names: Sequence[str]) -> EfficientTerms:
        """Return the schedules and every constant of a document."""
        return cls(
            schedules=tuple(
                tuple((int(share), int(value)) for share, value in one["schedule"])
                for one in document["organizations"]
            ),
            constants=_triangle(document["constants_wei"], names),
        )

    def constant(self, size: int, i: int, j: int) -> int:
        """Return ``k_ij``, wei."""
        if i == j:
            return 0
        whole = self.constants[place(min(i, j), max(i, j), size)]
        return whole if i < j else -whole

    def share(self, i: int, data_ppb: Fraction) -> int:
        """Return the whole number of ppb: a breakpoint where one is within 1 ppb.

        What is agreed on is a breakpoint, cut to what can be trained in time; solved anew it is
        reached to rounding, and then it is what is meant.
        """
        near = [share for share, _ in self.schedules[i] if abs(share - data_ppb) < 1]
        return min(near, key=lambda share: abs(share - data_ppb), default=round(data_ppb))

    def score(self, i: int, member: Member, report: Report) -> int:
        """Return ``phi_i(d_i)``, wei."""
        del member
        return arithmetic.value_at(self.schedules[i], report.data_ppb)

    def cap(self, i: int, member: Member) -> int:
        """Return ``phi_i(1)``, wei."""
        del member
        return self.schedules[i][-1][1]

    def score_calculation(self, i: int, member: Member, report: Report) -> str:
        """Return the straight line between two breakpoints in integers."""
        del member
        points, d = self.schedules[i], report.data_ppb
        k = max(next(k for k, (share, _) in enumerate(points) if share >= d), 1)
        (left, low), (right, high) = points[k - 1], points[k]
        return f"{low} + ({high} - {low}) * ({d} - {left}) / ({right} - {left})"

    def bonds(self, members: Sequence[Member]) -> list[int]:
        """Return what each owes with its least against everybody's most, wei."""
        del members
        least = [points[0][1] for points in self.schedules]
        most = [points[-1][1] for points in self.schedules]
        return arithmetic.efficient_bonds(self.constants, least, most)

    def redistribution(self, scores: Sequence[int]) -> list[int]:
        """Return ``R_i``, wei."""
        return arithmetic.efficient_redistribution(self.constants, scores)

    def payment(self, size: int, i: int, j: int, scores: Sequence[int]) -> WeiTerm | None:
        """Return ``t_ij``; everybody settles with everybody."""
        constant, phi_i, phi_j = self.constant(size, i, j), scores[i], scores[j]
        return WeiTerm(
            {"phi_i": phi_i, "phi_j": phi_j, "constant_wei": constant},
            f"({phi_i} - {phi_j}) / {size - 1} + {constant}",
            arithmetic.efficient_compensation(size - 1, phi_i, phi_j, constant),
        )

    def explanation(self, calculation: str, score: int) -> list[str]:
        """Return ``phi`` and what j pays i."""
        return [
            f"phi = v + (v' - v) * (d - b) / (b' - b), rounded down = {calculation} = {score} wei",
            f"each line: {self.formula}, the quotient cut toward zero",
        ]

    def score_to_dict(self, score: int) -> dict[str, Any]:
        """Return ``phi``."""
        return {"schedule_wei": str(score)}

    def entry(self, i: int) -> bytes:
        """Return the number of breakpoints, and of each the share and the value."""
        points = self.schedules[i]
        return bytes([len(points)]) + b"".join(
            share.to_bytes(4, "big") + value.to_bytes(16, "big", signed=True)
            for share, value in points
        )

    @property
    def packed_pairs(self) -> bytes:
        """The constants, a big-endian int128 a pair."""
        return b"".join(k.to_bytes(self.pair_bytes, "big", signed=True) for k in self.constants)

    def figures(self, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
        """Yield every schedule and every constant."""
        for name, points in zip(names, self.schedules, strict=True):
            yield f"{name}: schedule", tuple(f"{v:,} wei at {b:,} ppb" for b, v in points)
        for (i, j), constant in zip(arithmetic.pairs(len(names)), self.constants, strict=True):
            yield f"constant_wei of {names[i]} and {names[j]}", constant

    def facts(self) -> list[tuple[str, str]]:
        """Return how many breakpoints there are."""
        count = sum(map(len, self.schedules))
        return [("schedules", f"{count:,} breakpoints, wei")]

    def pairs(self, names: Sequence[str]) -> tuple[str, str, list[tuple[str, str, int]]]:
        """Return the constants: what the first receives from the second."""
        return "Constants, wei: from the second to the first", "k", _named(names, self.constants)

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the constants that are not zero."""
        return {
            "constants_wei": [[a, b, str(k)] for a, b, k in _named(names, self.constants)],
        }

    def member_to_dict(self, i: int) -> dict[str, Any]:
        """Return the schedule."""
        return {"schedule": [[share, str(value)] for share, value in self.schedules[i]]}

    def annex(self) -> dict[str, Any]:
        """Return the rule's name: whoever has only the annex knows what is compared."""
        return {"rule": self.name}
