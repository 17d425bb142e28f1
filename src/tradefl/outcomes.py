r"""The values of a comparison: an outcome for each rule, and all of them together."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tradefl.design import ROUNDING
from tradefl.game.welfare import payoffs_without_redistribution, price_of_anarchy
from tradefl.notebook import Shown, drawn
from tradefl.solvers import Solution

if TYPE_CHECKING:
    from tradefl.documents.comparison import CompareDocument, ComparedRule

Array = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, eq=False)
class Outcome:
    """The equilibrium under one rule.

    Attributes
    ----------
    rule
        ``none``, ``linear`` (the file's gamma), ``tuned`` (gamma*), ``efficient``, one of
        :data:`tradefl.comparison.MECHANISMS`, or the name of a mechanism.
    title
        The rule in words.
    solution
        The equilibrium.
    optimum, without
        What it is compared with: the planner's solution, the equilibrium without compensation.
    split
        Shape ``(N,)``: the payoffs, where they are not those of the solution; otherwise ``None``.
    half_width
        Shape ``(N,)``: of the 95 % confidence interval of a split that is sampled; otherwise
        ``None``.
    stable
        ``stable``, ``not stable`` or ``undecided`` (:mod:`tradefl.stability`); ``None`` where it
        was not asked for.
    """

    rule: str
    title: str
    solution: Solution
    optimum: Solution
    without: Solution
    split: Array | None = None
    half_width: Array | None = None
    stable: str | None = None

    @property
    def payoffs(self) -> Array:
        """What each has, shape ``(N,)``."""
        return self.solution.payoffs if self.split is None else self.split

    @property
    def deficit(self) -> float:
        """What must come from outside so that everybody can be paid; 0 where nothing must."""
        short = float(self.payoffs.sum() - self.solution.social_welfare)
        return short if short > ROUNDING * abs(self.solution.social_welfare) else 0.0

    @property
    def gain_over_alone(self) -> Array:
        """What each gains over training alone, shape ``(N,)``."""
        return self.payoffs - self.solution.alone

    @property
    def below_alone(self) -> int:
        """How many would earn more by training alone."""
        return int(np.sum(self.gain_over_alone < -self._rounding))

    @property
    def gain(self) -> Array:
        """What each gains over the equilibrium without compensation, shape ``(N,)``."""
        return self.payoffs - self.without.payoffs

    def _sampled(self, i: int) -> dict[str, float]:
        return {} if self.half_width is None else {"half_width": float(self.half_width[i])}

    @property
    def _rounding(self) -> Array:
        return ROUNDING * self.solution.certificate.payoff_scale

    @property
    def gainers(self) -> int:
        """How many gain."""
        return int(np.sum(self.gain > self._rounding))

    @property
    def losing(self) -> npt.NDArray[np.intp]:
        """Who loses against no compensation, ascending; rounding does not count."""
        return np.flatnonzero(self.gain < -self._rounding)

    @property
    def losers(self) -> int:
        """How many lose."""
        return int(self.losing.size)

    @property
    def price_of_anarchy(self) -> float | None:
        """``W(pi*) / W``: 1 at the optimum; ``None`` where the welfare is not positive."""
        return price_of_anarchy(self.optimum.social_welfare, self.solution.social_welfare)

    @property
    def gap_closed(self) -> float | None:
        """Which share of the welfare that is missing without compensation it brings.

        ``None`` where nothing is missing.
        """
        missing = self.optimum.social_welfare - self.without.social_welfare
        if missing <= ROUNDING * abs(self.optimum.social_welfare):
            return None
        return (self.solution.social_welfare - self.without.social_welfare) / missing

    @property
    def payments(self) -> float:
        """The sum of all payments, payoff units; of a split all that is received."""
        if self.split is not None:
            moved = self.split - payoffs_without_redistribution(
                self.solution.game, self.solution.profile
            )
            return float(np.maximum(moved, 0.0).sum())
        return float(sum(amount for *_, amount in self.solution.transfers()))

    def document(self) -> ComparedRule:
        """Return the entry of the JSON document."""
        from tradefl.documents.comparison import ComparedOrganization, ComparedRule

        game, gain = self.solution.game, self.gain
        linear = self.rule in ("linear", "tuned")
        found = self.solution
        columns = self.payoffs, gain, found.alone, self.gain_over_alone
        return ComparedRule(
            rule=self.rule,
            title=self.title,
            incentive_intensity=game.incentive_intensity if linear else None,
            status=self.solution.status,
            max_regret=self.solution.certificate.max_regret,
            social_welfare=self.solution.social_welfare,
            price_of_anarchy=self.price_of_anarchy,
            gap_closed=self.gap_closed,
            total_data_fraction=float(self.solution.profile.data_fraction.sum()),
            performance=self.solution.terms.performance,
            payments=self.payments,
            individually_rational=bool((self.payoffs >= 0.0).all()),
            below_alone=self.below_alone,
            stable=self.stable,
            deficit=self.deficit,
            gainers=self.gainers,
            losers=self.losers,
            largest_gain=float(gain.max()),
            largest_loss=float(max(0.0, -gain.min())),
            organizations=[
                ComparedOrganization(
                    name=game.name_of(i),
                    payoff=payoff,
                    gain=more,
                    alone=alone,
                    gain_over_alone=over_alone,
                    **self._sampled(i),
                )
                for i, (payoff, more, alone, over_alone) in enumerate(
                    zip(*(column.tolist() for column in columns), strict=True)
                )
            ],
        )


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Comparison(Shown):
    """All rules of one consortium.

    Attributes
    ----------
    optimum
        The planner's solution, with the bound on welfare.
    outcomes
        One for each rule, the one without compensation first.
    remarks
        What the reader must know, such as that no gamma is individually rational.
    """

    optimum: Solution
    outcomes: tuple[Outcome, ...]
    remarks: tuple[str, ...]

    def plot(self) -> Any:
        """Return an Altair chart of what each organization gains under each rule.

        Raises
        ------
        MissingExtraError
            The ``charts`` extra is not installed.
        """
        return drawn("comparison", self)

    def _title(self) -> str:
        return f"of {len(self.outcomes)} rules for {self.optimum.game.title}"

    def _facts(self) -> list[tuple[str, str]]:
        return [("social optimum", f"{self.optimum.social_welfare:,.6g}")]

    def _records(self) -> list[dict[str, Any]]:
        rows = [outcome.document().to_dict() for outcome in self.outcomes]
        return [
            {key: value for key, value in row.items() if key != "organizations"} for row in rows
        ]

    def in_currency(self) -> Comparison:
        """Return the same with every amount in the game's currency, to be shown."""
        game = self.optimum.game
        if game.currency is None or game.payoff_unit == 1.0:
            return self
        unit = game.payoff_unit
        shown = {
            id(solution): solution.in_currency()
            for solution in (self.optimum, *(outcome.without for outcome in self.outcomes))
        }

        def in_unit(amounts: Array | None) -> Array | None:
            return None if amounts is None else amounts * unit

        return dataclasses.replace(
            self,
            optimum=shown[id(self.optimum)],
            outcomes=tuple(
                dataclasses.replace(
                    outcome,
                    solution=outcome.solution.in_currency(),
                    optimum=outcome.optimum.in_currency(),
                    without=shown[id(outcome.without)],
                    split=in_unit(outcome.split),
                    half_width=in_unit(outcome.half_width),
                )
                for outcome in self.outcomes
            ),
        )

    def document(self) -> CompareDocument:
        """Return the JSON document ``tradefl/compare/1``."""
        from tradefl.documents.base import money_keys
        from tradefl.documents.comparison import CompareDocument

        return CompareDocument(
            document="tradefl/compare/1",
            consortium=self.optimum.game.title,
            social_welfare_optimum=self.optimum.social_welfare,
            social_welfare_upper_bound=self.optimum.welfare_bound,
            remarks=list(self.remarks),
            rules=[outcome.document() for outcome in self.outcomes],
            **money_keys(self.optimum.game),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return :meth:`document` as plain values."""
        return self.document().to_dict()
