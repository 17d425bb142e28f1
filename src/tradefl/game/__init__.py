"""The coopetition game: mathematics only, no files, no solver.

The way of the data: a :class:`CoopetitionGame` and a :class:`StrategyProfile` go in;
:func:`payoffs` gives every term of Eq. (11), :func:`potential` the corrected potential, and
:func:`certify` says how far the profile is from a Nash equilibrium.
"""

from tradefl.game.accuracy import (
    AccuracyModel,
    Empirical,
    PowerLaw,
    SqrtLoss,
    fit_empirical,
)
from tradefl.game.binding import Binding, binds
from tradefl.game.competition import (
    Competition,
    DenseCompetition,
    InvalidCompetitionError,
    SectorCompetition,
    SparseCompetition,
    as_competition,
)
from tradefl.game.coopetition import CoopetitionGame
from tradefl.game.equilibrium import Certificate, certify, deviation_gain, regret
from tradefl.game.mechanism import Mechanism, Parts
from tradefl.game.money import in_currency
from tradefl.game.participation import alone
from tradefl.game.payoff import Payoffs, payoffs
from tradefl.game.potential import OwnTerm, own_term, potential, potential_as_printed
from tradefl.game.rules import EfficientRule, InvalidScheduleError, LinearRule, Rule, Schedule
from tradefl.game.search import BestResponses, best_responses
from tradefl.game.separable import Pieces, Separable
from tradefl.game.strategy import StrategyProfile
from tradefl.game.validity import InvalidGameError

__all__ = [
    "AccuracyModel",
    "BestResponses",
    "Binding",
    "Certificate",
    "Competition",
    "CoopetitionGame",
    "DenseCompetition",
    "EfficientRule",
    "Empirical",
    "InvalidCompetitionError",
    "InvalidGameError",
    "InvalidScheduleError",
    "LinearRule",
    "Mechanism",
    "OwnTerm",
    "Parts",
    "Payoffs",
    "Pieces",
    "PowerLaw",
    "Rule",
    "Schedule",
    "SectorCompetition",
    "Separable",
    "SparseCompetition",
    "SqrtLoss",
    "StrategyProfile",
    "alone",
    "as_competition",
    "best_responses",
    "binds",
    "certify",
    "deviation_gain",
    "fit_empirical",
    "in_currency",
    "own_term",
    "payoffs",
    "potential",
    "potential_as_printed",
    "regret",
]
