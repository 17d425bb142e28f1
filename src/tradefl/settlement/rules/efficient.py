"""The efficient rule in integers: what ``TradeFLEfficient.sol`` computes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from tradefl.errors import InputError, Problem
from tradefl.game import DenseCompetition, EfficientRule, InvalidScheduleError, Schedule
from tradefl.settlement import arithmetic
from tradefl.settlement.arithmetic import PPB, rounded, size_of
from tradefl.settlement.rules.base import (
    DOUBLE,
    Array,
    Drafting,
    Gas,
    Member,
    Published,
    Report,
    RuleTerms,
    WeiTerm,
    by_names,
    map_unique,
    place,
    triangle_of,
)

if TYPE_CHECKING:
    from tradefl.consortium import Consortium
    from tradefl.game import Competition, Rule
    from tradefl.settlement.agreement import Agreement


# The schedule of a payee: whatever it reports counts for nothing.
FLAT: tuple[tuple[int, int], ...] = ((0, 0), (PPB, 0))


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

    gas = Gas(214_000, 19_500, 900, 9_200, 420, 9_000)
    listed_events = ("ScheduleListed",)

    @classmethod
    def drafted(cls, rule: Rule, draft: Drafting, wei_per_payoff: int) -> EfficientTerms:
        """Return schedules and constants of the file, rounded to wei."""
        if not isinstance(rule, EfficientRule):
            raise TypeError(f"rule: expected the efficient rule, got {rule.name}")
        constants: list[int] = []
        for i in range(rule.size):
            row = rule.constants_row(i)[i + 1 :]
            constants += map_unique(lambda k: rounded(k, wei_per_payoff), row)
        schedules = [
            tuple(
                (rounded(share, PPB), rounded(value, wei_per_payoff))
                for share, value in zip(
                    schedule.shares.tolist(), schedule.values.tolist(), strict=True
                )
            )
            for schedule in rule.schedules
        ]
        if rule.payee is not None:
            cls._require_payee(rule, draft, schedules, constants, wei_per_payoff)
            schedules.append(FLAT)
        terms = cls(schedules=tuple(schedules), constants=tuple(constants))
        limit = "in magnitude, got %s; a smaller settlement.wei_per_payoff helps"
        for name, points in zip(draft.consortium.settling, terms.schedules, strict=True):
            where = f"compensation.schedules.{name}"
            largest = max(abs(value) for _, value in points)
            if largest >= arithmetic.LIMIT:
                what = f"expected less than 2^95 wei {limit}"
                draft.problem(where, what % f"{size_of(largest)}")
            elif (problem := unsuitable(points, wei_per_payoff)) is not None:
                draft.problem(where, f"{problem}: a larger settlement.wei_per_payoff helps")
        largest = max(map(abs, constants))
        if largest >= arithmetic.LIMIT:
            what = f"expected less than 2^95 wei between any two {limit}"
            draft.problem("compensation.constants", what % f"{size_of(largest)}")
        return terms

    @classmethod
    def published(cls, published: Published) -> EfficientTerms:
        """Return the schedules of the events, and the constants of the pairs."""
        listed = sorted(published.events["ScheduleListed"], key=lambda event: int(event["index"]))
        packed, width = b"".join(published.pair_blocks), cls.pair_bytes
        return cls(
            schedules=tuple(
                tuple(zip(event["shares"], event["values"], strict=True)) for event in listed
            ),
            constants=tuple(
                int.from_bytes(packed[k : k + width], "big", signed=True)
                for k in range(0, len(packed), width)
            ),
        )

    def parameters(self, agreement: Agreement, competition: Competition | None) -> dict[str, Any]:
        """Return the rule in payoff; payments do not depend on rho, so the agreement has none."""
        n, size = agreement.players, len(agreement)

        def payoff(wei: int) -> float:
            return float(Fraction(wei, agreement.wei_per_payoff))

        schedules, problems = [], []
        own = self.schedules[:n]
        for name, points in zip(agreement.names[:n], own, strict=True):
            shares, values = zip(*points, strict=True)
            try:
                schedules.append(
                    Schedule(np.array(shares) / PPB, np.array([payoff(value) for value in values]))
                )
            except InvalidScheduleError as error:  # the contract accepts one that is not concave
                problems.append(Problem(f"{agreement.consortium}: schedule of {name}", str(error)))
        if problems:
            raise InputError(problems)
        if n < size and self.schedules[-1] != FLAT:
            what = "expected the schedule 0 of one who contributes nothing"
            raise InputError.at(f"{agreement.consortium}: schedule of {agreement.payee}", what)
        constants = zip(arithmetic.pairs(size), self.constants, strict=True)
        rule = EfficientRule(
            tuple(schedules),
            np.zeros(n),
            tuple((i, j, payoff(wei)) for (i, j), wei in constants if wei),
            agreement.payee,
        )
        nobody = DenseCompetition(np.zeros((n, n)))
        return {
            "competition": nobody if competition is None else competition,
            "compensation": rule,
        }

    def remarks(self, agreement: Agreement) -> list[str]:
        """Return whose schedule is not concave: the contract leaves that to those who agree."""
        found = []
        for name, points in zip(agreement.names, self.schedules, strict=True):
            problem = unsuitable(points, agreement.wei_per_payoff)
            if problem is not None:
                found.append(f"{name}: its schedule is not as the rule wants it; {problem}")
        return found

    def breakpoints(self, i: int) -> int:
        """Return how many breakpoints organization i's schedule has."""
        return len(self.schedules[i])

    @classmethod
    def from_document(cls, document: Mapping[str, Any], names: Sequence[str]) -> EfficientTerms:
        """Return the schedules and every constant of a document."""
        return cls(
            schedules=tuple(
                tuple((int(share), int(value)) for share, value in organization["schedule"])
                for organization in document["organizations"]
            ),
            constants=triangle_of(document["constants_wei"], names),
        )

    def constant(self, size: int, i: int, j: int) -> int:
        """Return ``k_ij``, wei."""
        if i == j:
            return 0
        whole = self.constants[place(min(i, j), max(i, j), size)]
        return whole if i < j else -whole

    def share(self, i: int, data_ppb: Fraction) -> int:
        """Return the whole number of ppb: a breakpoint where one is within 1 ppb.

        What is agreed on is a breakpoint, cut to what can be trained in time; solved again it is
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
        return "Constants, wei: from the second to the first", "k", by_names(names, self.constants)

    def to_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the constants that are not zero."""
        return {
            "constants_wei": [[a, b, str(k)] for a, b, k in by_names(names, self.constants)],
        }

    def member_to_dict(self, i: int) -> dict[str, Any]:
        """Return the schedule."""
        return {"schedule": [[share, str(value)] for share, value in self.schedules[i]]}

    def annex(self, consortium: Consortium) -> dict[str, Any]:
        """Return the rule's name, which the annex alone must show, and the promise of honesty."""
        section = consortium.compensation
        if section is None or section.truthful is None:
            return {"rule": self.name}
        return {"rule": self.name, "truthful": section.truthful.model_dump(exclude_none=True)}

    @staticmethod
    def _require_payee(
        rule: EfficientRule,
        draft: Drafting,
        schedules: list[tuple[tuple[int, int], ...]],
        constants: list[int],
        wei_per_payoff: int,
    ) -> None:
        """Require that a payee never owes anything; take the rounding of its constants from it.

        Its bond is 0, so its constants must add up to something that is not negative: where
        rounding leaves a few wei below 0, the last pair carries them.
        """
        n = rule.size
        places = [place(i, n, n + 1) for i in range(n)]
        owed = sum(constants[k] for k in places)  # what the organizations receive from it
        if 0 < owed <= n:
            constants[places[-1]] -= owed
        elif owed > n:
            amount = owed / wei_per_payoff
            draft.problem(
                "compensation.constants",
                f"leave the payee {amount:.6g} short, and it deposits nothing; expected constants "
                "whose sum is not positive",
            )
        for name, points in zip(draft.consortium.names, schedules, strict=True):
            if points[-1][1] > 0:
                draft.problem(
                    f"compensation.schedules.{name}",
                    "expected no value above 0, where there is a payee: it would have to pay",
                )

    def bounds(self, consortium: Consortium, agreement: Agreement) -> Array:
        """Return the bounds from the rounding of values, constants and shares."""
        del consortium
        n = len(agreement)  # a payee has a schedule too
        largest, error = np.zeros(n), np.zeros(n)
        for i, points in enumerate(self.schedules):
            shares, values = (np.array(part, dtype=float) for part in zip(*points, strict=True))
            largest[i] = np.abs(values).max()
            steepest = float((np.diff(values) / np.diff(shares)).max())
            # The share is off by a ppb where it is a breakpoint, and by what a double cannot hold.
            error[i] = 0.5 + 2.0**-52 * largest[i] + 1.0 + steepest * (1.0 + 1e-6)
        bounds = np.zeros(n)
        constants = np.abs(np.array(self.constants, dtype=float))
        start = 0
        for i in range(n - 1):
            constant = constants[start : start + n - 1 - i]
            start += constant.size
            gross = 2.0 * (largest[i] + largest[i + 1 :]) / (n - 1) + constant
            pair = (
                (error[i] + error[i + 1 :]) / (n - 1)
                + (0.5 + 2.0**-52 * constant)
                + DOUBLE * gross
                + 1.0  # the quotient is cut by less than a wei
            )
            bounds[i] += pair.sum()
            bounds[i + 1 :] += pair
        return bounds


def unsuitable(points: arithmetic.Schedule, wei_per_payoff: int) -> str | None:
    """Return why a schedule in wei is not the game's; ``None`` if it is.

    The contract checks that it does not fall. That it is concave, up to rounding, is checked here.
    """
    if not arithmetic.is_schedule(points):
        return "after rounding to wei, the contract would reject this schedule"
    shares, values = zip(*points, strict=True)
    try:
        Schedule(
            np.array([share / PPB for share in shares]),
            np.array([float(Fraction(value, wei_per_payoff)) for value in values]),
        )
    except InvalidScheduleError as error:
        return f"rounded to wei: {error}"
    return None
