"""What every solver returns: a profile, its payoffs, its proof and its trace."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import numpy.typing as npt

from tradefl.game.binding import Binding, binds
from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.equilibrium import Certificate, certify
from tradefl.game.mechanism import clearing
from tradefl.game.money import in_currency
from tradefl.game.participation import TOLERANCE as ALONE_TOLERANCE
from tradefl.game.participation import alone
from tradefl.game.payoff import Payoffs, data_costs, payoffs
from tradefl.game.potential import potential
from tradefl.game.strategy import StrategyProfile
from tradefl.notebook import Shown, drawn
from tradefl.statement import Figures, Statement, statement

if TYPE_CHECKING:
    from tradefl.documents.solution import SolutionDocument, SolvedOrganization

Array = npt.NDArray[np.float64]
Status = Literal["optimal", "equilibrium", "feasible", "iteration_limit", "infeasible"]

# An equilibrium claim means: nobody can gain more than this share of its payoff's terms.
REGRET_TOLERANCE = 1e-9
# Above this many organizations the list of transfers (up to N^2 / 2) is left out.
MAX_TRANSFERS_ORGANIZATIONS = 1000


@dataclasses.dataclass(frozen=True, eq=False)
class Trace:
    """The single moves of a solver, in order.

    Attributes
    ----------
    initial
        The profile before the first move.
    organization
        Shape ``(moves,)``: who moved.
    data_fraction, cpu_hz
        Shape ``(moves,)``: the strategy it moved to.
    potential
        Shape ``(moves + 1,)``: U before the first move and after each.
    """

    initial: StrategyProfile
    organization: npt.NDArray[np.intp]
    data_fraction: Array
    cpu_hz: Array
    potential: Array

    def __len__(self) -> int:
        return int(self.organization.size)

    def profiles(self) -> Iterator[StrategyProfile]:
        """Yield the initial profile and the profile after every move."""
        d, f = self.initial.data_fraction.copy(), self.initial.cpu_hz.copy()
        yield self.initial
        for k, i in enumerate(self.organization):
            d[i], f[i] = self.data_fraction[k], self.cpu_hz[k]
            yield StrategyProfile(d, f)

    def payoffs(self, game: CoopetitionGame) -> Array:
        """Return the payoffs before the first move and after each, ``(moves + 1, N)``."""
        return np.array([payoffs(game, profile).payoff for profile in self.profiles()])


@dataclasses.dataclass(frozen=True, eq=False)
class BoundTrace:
    """The bounds of a solver that minimizes ``-U``, as the paper writes it (erratum E4).

    Attributes
    ----------
    lower, upper
        Shape ``(iterations,)``: LB and UB on ``min -U`` after each iteration.
    """

    lower: Array
    upper: Array

    def __len__(self) -> int:
        return int(self.lower.size)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Solution(Shown):
    """Contributions, what they pay, and how good they are.

    Attributes
    ----------
    game
        The game that was solved. For WPR it is the game without redistribution.
    profile
        Everybody's contribution.
    terms
        Every term of Eq. (11).
    certificate
        Regret, budget balance and individual rationality, recomputed from Eq. (11).
    method
        The solver's name.
    status
        ``optimal`` (``upper_bound`` proves it, or for the planner ``welfare_bound``),
        ``equilibrium`` (every regret is within 1e-9 of its payoff scale), ``feasible``,
        ``iteration_limit``, or ``infeasible`` (only TOS, which ignores the deadline).
    iterations
        What the method counts: for best-response dynamics, single moves.
    runtime_seconds
        Wall time of the solver without the certificate.
    upper_bound
        A proven upper bound on the potential, where the method proves one.
    welfare_bound
        A proven upper bound on social welfare, where the method proves one: the planner.
    trace
        The single moves of best-response dynamics, where they were kept, or the bounds of a
        method that has two.
    remarks
        What the reader must know to judge the answer, such as bounds that crossed.
    """

    game: CoopetitionGame
    profile: StrategyProfile
    terms: Payoffs
    certificate: Certificate
    method: str
    status: Status
    iterations: int
    runtime_seconds: float
    upper_bound: float | None = None
    welfare_bound: float | None = None
    trace: Trace | BoundTrace | None = None
    remarks: tuple[str, ...] = ()

    @classmethod
    def certified(
        cls,
        game: CoopetitionGame,
        profile: StrategyProfile,
        *,
        finished: bool,
        upper_bound: float | None = None,
        welfare_bound: float | None = None,
        gap: float = 0.0,
        **fields: Any,
    ) -> Self:
        """Return a solution whose status is what its certificate supports, not what is hoped.

        ``finished`` says whether the method ended by itself rather than at a limit. Nearly
        identical organizations can trade ever smaller moves until the limit is hit; if the
        profile is an equilibrium by then, it is reported as one. The profile is
        optimal if its potential is within ``gap``, in units of U, of the upper bound, or its
        welfare, in units of payoff, of the bound on that.
        """
        terms = payoffs(game, profile)
        certificate = certify(game, profile, terms)
        if not certificate.proven:
            what = (
                f"regrets were searched on a grid of deviations, not proven: {game.mechanism.name} "
                "declares no structure"
            )
            fields["remarks"] = (*fields.get("remarks", ()), what)
        status: Status = "feasible" if finished else "iteration_limit"
        if not certificate.feasible:
            status = "infeasible"
        if certificate.is_equilibrium(REGRET_TOLERANCE):
            status = "equilibrium"
        proven = upper_bound is not None and upper_bound - potential(game, profile) <= gap
        if welfare_bound is not None:
            proven = welfare_bound - terms.social_welfare <= gap
        if proven and certificate.feasible:
            status = "optimal"
        return cls(
            game=game,
            profile=profile,
            terms=terms,
            certificate=certificate,
            status=status,
            upper_bound=None if upper_bound is None else float(upper_bound),
            welfare_bound=None if welfare_bound is None else float(welfare_bound),
            **fields,
        )

    @cached_property
    def potential(self) -> float:
        """The corrected potential U (erratum E1); ``ValueError`` where the mechanism has none."""
        return potential(self.game, self.profile)

    @property
    def payoffs(self) -> Array:
        """``C_i``, Eq. (11), shape ``(N,)``."""
        return self.terms.payoff

    @property
    def social_welfare(self) -> float:
        """``sum_i C_i``, without money from outside."""
        return self.terms.social_welfare

    @cached_property
    def binds(self) -> tuple[Binding, ...]:
        """Why each organization contributes no more and no less, see :func:`game.binds`."""
        return binds(self.game, self.profile)

    def in_currency(self) -> Solution:
        """Return the same contributions with every amount in the game's currency, to be shown."""
        game = in_currency(self.game)
        if game is self.game:
            return self
        unit, certificate = self.game.payoff_unit, self.certificate
        return dataclasses.replace(
            self,
            game=game,
            terms=payoffs(game, self.profile),
            certificate=dataclasses.replace(
                certificate,
                regret=certificate.regret * unit,
                payoff_scale=certificate.payoff_scale * unit,
                budget_imbalance=certificate.budget_imbalance * unit,
            ),
            welfare_bound=None if self.welfare_bound is None else self.welfare_bound * unit,
        )

    @cached_property
    def alone(self) -> Array:
        """What each would earn by training alone, shape ``(N,)``."""
        return alone(self.game)

    @property
    def gain_over_alone(self) -> Array:
        """``payoff_i - alone_i``, shape ``(N,)``."""
        return self.payoffs - self.alone

    @property
    def below_alone(self) -> npt.NDArray[np.intp]:
        """Who would earn more by training alone, ascending; rounding does not count."""
        short = self.gain_over_alone < -ALONE_TOLERANCE * self.certificate.payoff_scale
        return np.flatnonzero(short)

    @property
    def better_than_alone(self) -> bool:
        """Whether nobody would earn more by training alone."""
        return self.below_alone.size == 0

    def statement(self, organization: str | int) -> Statement:
        """Return the itemized payoff statement of one organization, by name or index."""
        return statement(self.game, self.profile, organization, self.terms, self.figures)

    @cached_property
    def figures(self) -> Figures:
        """The printed figures of the profile, which all statements share."""
        return Figures(self.game, self.profile)

    def transfers(self, organization: int | None = None) -> list[tuple[int, int, float]]:
        """Return ``(payer, receiver, amount > 0)`` for each pair that settles anything.

        All pairs, or those of one organization. Scores that agree to twelve digits are equal:
        what remains of their difference is rounding, which nobody pays. The rule's payee has the
        number N. Under a mechanism that does not settle pair by pair,
        :func:`~tradefl.game.mechanism.clearing` of the net amounts.
        """
        if not self.game.mechanism.pairwise:
            return [
                entry
                for entry in clearing(self.terms.redistribution)
                if organization is None or organization in entry[:2]
            ]
        rule = self.game.rule
        score = rule.settled_scores(self.game, self.profile)
        settled = []
        for i in range(self.game.size) if organization is None else (organization,):
            others, weight, constant = rule.pair(self.game, i)
            received = weight * (score[i] - score[others]) + constant
            size = weight * (np.abs(score[i]) + np.abs(score[others])) + np.abs(constant)
            chosen = np.abs(received) > 1e-12 * size
            if organization is None:
                chosen &= others > i  # each pair once
            for j, amount in zip(others[chosen].tolist(), received[chosen].tolist(), strict=True):
                settled.append((j, i, amount) if amount > 0.0 else (i, j, -amount))
        return settled

    def organizations(self) -> Iterator[SolvedOrganization]:
        """Yield each organization's entry of the JSON document, in order."""
        from tradefl.documents.solution import SolvedOrganization

        game, terms = self.game, self.terms
        columns = {
            "data_fraction": self.profile.data_fraction,
            "cpu_hz": self.profile.cpu_hz,
            "contribution_bits": self.profile.data_fraction * game.data_bits,
            "resource_bit_equivalents": game.resource(self.profile),
            "score": game.mechanism.score(game, self.profile),
            "revenue": terms.revenue,
            "overhead": terms.overhead,
            "data_cost": data_costs(game, self.profile),
            "joining_cost": game.joining_cost,
            "damage": terms.damage,
            "redistribution": terms.redistribution,
            "payoff": terms.payoff,
            "alone": self.alone,
            "gain_over_alone": self.gain_over_alone,
            "regret": self.certificate.regret,
        }
        rows = zip(*(column.tolist() for column in columns.values()), strict=True)
        for i, (row, binding) in enumerate(zip(rows, self.binds, strict=True)):
            figures = dict(zip(columns, row, strict=True))
            yield SolvedOrganization.of(name=game.name_of(i), **figures, binds=binding)

    def plot(self, what: Literal["payoffs", "contributions", "payments"] = "payoffs") -> Any:
        """Return a chart: what makes up each payoff, what everybody contributes, or who pays whom.

        An Altair chart, which a notebook shows and ``save`` writes.

        Raises
        ------
        ValueError
            There is no such chart, or nobody pays anybody.
        MissingExtraError
            The ``charts`` extra is not installed.
        """
        return drawn("solution", self, what)

    def _title(self) -> str:
        return f"of {self.game.title}: {self.game.size:,} organizations"

    def _facts(self) -> list[tuple[str, str]]:
        return [
            ("method", self.method),
            ("status", self.status),
            ("social welfare", f"{self.social_welfare:,.6g}"),
            ("max regret", f"{self.certificate.max_regret:.3g}"),
        ]

    def _records(self) -> list[dict[str, Any]]:
        return [entry.to_dict() for entry in self.organizations()]

    def document(self) -> SolutionDocument:
        """Return the JSON document ``tradefl/solution/1``."""
        from tradefl.documents.base import money_keys
        from tradefl.documents.solution import PaidOut, SolutionDocument, Transfer

        payee = self.game.mechanism.payee
        name_of, certificate = self.game.name_of, self.certificate
        transfers = None
        if self.game.size <= MAX_TRANSFERS_ORGANIZATIONS:
            transfers = [
                Transfer(payer=name_of(payer), receiver=name_of(receiver), amount=amount)
                for payer, receiver, amount in self.transfers()
            ]
        given: dict[str, Any] = {}
        if payee is not None:
            given["payee"] = PaidOut(name=payee, redistribution=float(self.terms.paid_out))
        return SolutionDocument(
            **given,
            document="tradefl/solution/1",
            consortium=self.game.title,
            rule=self.game.mechanism.name,
            method=self.method,
            status=self.status,
            iterations=self.iterations,
            runtime_seconds=self.runtime_seconds,
            potential=self.potential if self.game.mechanism.separable else None,
            upper_bound=self.upper_bound,
            social_welfare=self.social_welfare,
            social_welfare_upper_bound=self.welfare_bound,
            performance=self.terms.performance,
            total_data_fraction=float(self.profile.data_fraction.sum()),
            max_regret=certificate.max_regret,
            budget_imbalance=certificate.budget_imbalance,
            individually_rational=certificate.individually_rational,
            better_than_alone=self.better_than_alone,
            remarks=list(self.remarks),
            organizations=list(self.organizations()),
            transfers=transfers,
            **money_keys(self.game),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return :meth:`document` as plain values."""
        return self.document().to_dict()
