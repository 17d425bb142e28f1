"""How values show themselves at a prompt and in a notebook: a title, some facts and a table.

The ``repr`` of a value that mixes in :class:`Shown` is one line. A notebook shows it as a table,
and :meth:`Shown.to_frame` returns the same table for pandas, which is imported only then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any

from tradefl.text import printable

if TYPE_CHECKING:
    import pandas as pd

ROWS = 30
DIGITS = 6
Record = Mapping[str, Any]


class Shown:
    """A value with a title, facts about it, and records of the same keys, one a row."""

    def _title(self) -> str:
        """Return what it is, in a few words."""
        raise NotImplementedError

    def _facts(self) -> Sequence[tuple[str, str]]:
        """Return what matters most, as labels and texts."""
        return ()

    def _records(self) -> Sequence[Record]:
        """Return the rows of the table; the first key is the row's name."""
        raise NotImplementedError

    def __repr__(self) -> str:
        """Return one line, however many organizations there are."""
        facts = "".join(f", {label} {text}" for label, text in self._facts())
        return printable(f"<{type(self).__name__} {self._title()}{facts}>")

    def _repr_html_(self) -> str:
        """Return the table for a notebook; of a long one the first rows."""
        facts = "; ".join(f"{label} {text}" for label, text in self._facts())
        return html_table(f"{type(self).__name__}: {self._title()}", facts, self._records())

    def to_frame(self) -> pd.DataFrame:
        """Return the table as a data frame, indexed by its first column.

        Raises
        ------
        MissingExtraError
            pandas (the ``charts`` extra) is not installed.
        """
        return frame_of(self._records(), type(self).__name__)


def html_table(title: str, facts: str, records: Sequence[Record]) -> str:
    """Return a title, a line of facts and a table, everything escaped."""
    keys = list(records[0]) if records else []
    rows = "".join(
        "<tr>" + "".join(_cell(record[key], k == 0) for k, key in enumerate(keys)) + "</tr>"
        for record in records[:ROWS]
    )
    heading = "".join(f"<th>{_escaped(key.replace('_', ' '))}</th>" for key in keys)
    rest = len(records) - ROWS
    more = f"<p>... and {rest:,} more</p>" if rest > 0 else ""
    return (
        f"<div><p><b>{_escaped(title)}</b></p><p>{_escaped(facts)}</p>"
        f"<table><thead><tr>{heading}</tr></thead><tbody>{rows}</tbody></table>{more}</div>"
    )


def _cell(value: Any, is_name: bool) -> str:
    if is_name:
        return f"<th>{_escaped(_text(value))}</th>"
    align = "right" if isinstance(value, int | float) else "left"
    return f'<td style="text-align: {align}">{_escaped(_text(value))}</td>'


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.{DIGITS}g}" if isinstance(value, float) else str(value)


def _escaped(text: str) -> str:
    return escape(printable(text))


def frame_of(records: Sequence[Record], what: str) -> pd.DataFrame:
    """Return records as a data frame, indexed by the first key.

    Amounts in wei are Python integers, which no sum overflows.

    Raises
    ------
    MissingExtraError
        pandas is not installed.
    """
    try:
        pandas = import_module("pandas")
    except ImportError:
        errors = import_module("tradefl.errors")
        raise errors.MissingExtraError(f"{what}.to_frame", "charts") from None
    keys = list(records[0]) if records else []
    columns = {key: _column(key, [record[key] for record in records], pandas) for key in keys}
    frame = pandas.DataFrame(columns)
    result: pd.DataFrame = frame.set_index(keys[0]) if keys else frame
    return result


def _column(key: str, values: list[Any], pandas: Any) -> Any:
    return pandas.Series(values, dtype=object) if key.endswith("_wei") else values


def drawn(function: str, *arguments: Any) -> Any:
    """Return a chart that the report's room draws of a value.

    The room is looked up by its name: charts depend on solutions, and not the other way round.

    Raises
    ------
    MissingExtraError
        The ``charts`` extra is not installed.
    """
    return getattr(import_module("tradefl.report.plots"), function)(*arguments)
