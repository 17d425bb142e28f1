"""Every chart of the house: made once, used by the figures, the report and the console.

Altair describes them; vl-convert draws them without a browser.
"""

from tradefl.errors import MissingExtraError, require_docstrings

try:
    require_docstrings("charts")
    import altair as alt  # noqa: F401  before the rooms that need it
except ImportError:
    raise MissingExtraError("charts", "charts") from None

from tradefl.charts.consortium import (
    STEPS,
    competition_map,
    contributions,
    gamma_curve,
    payment_network,
    payoff_waterfall,
    rule_gains,
    training_curves,
)
from tradefl.charts.corridor import corridor
from tradefl.charts.distributions import histogram, marked, scatter
from tradefl.charts.drawing import html, inline_svg, pdf, png, save, svg
from tradefl.charts.figures import bars, dots, fitted, grouped_bars, heat_map, lines, panels
from tradefl.charts.paper import Latex, for_paper, latex, save_for_paper
from tradefl.charts.ranges import ranges
from tradefl.charts.sensitivity import bands, gains, tornado
from tradefl.charts.theme import FAINT, INK, PALETTE, SCHEMES, axis, colours

__all__ = [
    "FAINT",
    "INK",
    "PALETTE",
    "SCHEMES",
    "STEPS",
    "Latex",
    "axis",
    "bands",
    "bars",
    "colours",
    "competition_map",
    "contributions",
    "corridor",
    "dots",
    "fitted",
    "for_paper",
    "gains",
    "gamma_curve",
    "grouped_bars",
    "heat_map",
    "histogram",
    "html",
    "inline_svg",
    "latex",
    "lines",
    "marked",
    "panels",
    "payment_network",
    "payoff_waterfall",
    "pdf",
    "png",
    "ranges",
    "rule_gains",
    "save",
    "save_for_paper",
    "scatter",
    "svg",
    "tornado",
    "training_curves",
]
