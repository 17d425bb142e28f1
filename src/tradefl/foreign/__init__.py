"""Everything that comes from others: files of partners, answers of nodes, names, addresses.

What a partner, a node or a page hands over is data. It is read within limits, it never decides
which other file is opened, and its text is made printable before it reaches a terminal, a log,
an error message or a spreadsheet.

- :mod:`~tradefl.foreign.limits`: how much is read, and how to raise it;
- :mod:`~tradefl.foreign.reading`: files, JSON and TOML within those limits;
- :mod:`~tradefl.foreign.names`: the one rule for names, and names that look alike;
- :mod:`~tradefl.foreign.printing`: text made printable, secrets hidden in addresses, cells that a
  spreadsheet would run.
"""

from tradefl.foreign.limits import Limits, limits
from tradefl.foreign.names import look_alikes, name_problem, normalized, skeleton
from tradefl.foreign.printing import (
    escaped_json,
    frame_csv,
    hidden_secrets,
    read_cell,
    spreadsheet_cell,
)
from tradefl.foreign.reading import (
    parse_json,
    parse_toml,
    read_bytes,
    read_chunks,
    read_json,
    read_text,
)
from tradefl.text import printable, quoted

__all__ = [
    "Limits",
    "escaped_json",
    "frame_csv",
    "hidden_secrets",
    "limits",
    "look_alikes",
    "name_problem",
    "normalized",
    "parse_json",
    "parse_toml",
    "printable",
    "quoted",
    "read_bytes",
    "read_cell",
    "read_chunks",
    "read_json",
    "read_text",
    "skeleton",
    "spreadsheet_cell",
]
