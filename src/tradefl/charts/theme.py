"""What all charts share: colours, sizes, axes, and the ink that a page makes its own.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart, and a scheme has the
same one everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import cycle
from typing import Any, TypeVar

import altair as alt

# Okabe and Ito's palette, for whatever has no colour of its own.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
SCHEMES: Mapping[str, str] = {
    "CGBD": "#D55E00",
    "DBR": "#0072B2",
    "FIP": "#009E73",
    "GCA": "#E69F00",
    "WPR": "#CC79A7",
    "TOS": "#000000",
    "exact": "#56B4E9",
}
WIDTH, HEIGHT = 460, 300
# A page gives these two the colour of its text, so that a chart fits a light and a dark one.
INK, FAINT = "#1f2328", "#d0d7de"
# Lines differ by more than their colour. One pattern less than colours: of many lines the ninth has
# the first's colour, and not its pattern.
DASHES = ([1, 0], [4, 2], [2, 1], [1, 1], [1, 2, 4, 2], [9, 3], [9, 2, 2, 2])
# The legend of lines: pieces of them, long enough to tell one pattern of dashes from another.
LINES = alt.Legend(
    symbolType="stroke", symbolSize=600, symbolStrokeWidth=2, symbolOpacity=1.0, labelLimit=300
)

Sized = TypeVar("Sized", alt.Chart, alt.LayerChart)


def colours(names: Iterable[str]) -> alt.Scale:
    """Return the colour scale of some names: schemes have their own, others the palette's."""
    names = list(dict.fromkeys(names))
    taken = {SCHEMES[name] for name in names if name in SCHEMES}
    free = cycle([colour for colour in PALETTE if colour not in taken] or PALETTE)
    return alt.Scale(domain=names, range=[SCHEMES.get(name) or next(free) for name in names])


def dashes(names: Iterable[str]) -> alt.Scale:
    """Return the scale of the dashes of some names; over the same names as that of the colours.

    Then, and if both have the same title, one legend shows both.
    """
    names = list(dict.fromkeys(names))
    return alt.Scale(domain=names, range=[DASHES[k % len(DASHES)] for k in range(len(names))])


def axis(
    field: str,
    title: str,
    *,
    log: bool = False,
    zero: bool = False,
    kind: str = "Q",
    **options: Any,
) -> dict[str, Any]:
    """Return the arguments of a position channel: field, title with unit, and scale."""
    scale = alt.Scale(type="log") if log else alt.Scale(zero=zero)
    return {"shorthand": f"{field}:{kind}", "title": title, "scale": scale, **options}


def sized(chart: Sized, title: str) -> Sized:
    """Return a chart of the usual size, with its title."""
    return chart.properties(width=WIDTH, height=HEIGHT, title=title)
