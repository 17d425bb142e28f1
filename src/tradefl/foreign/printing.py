"""Foreign text on its way out: to a terminal, a log, an error message, a spreadsheet."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote, urlsplit

from tradefl.text import INVISIBLE, is_shown

_SECRET = "***"  # noqa: S105  # what is shown in its place
# The scheme's length is bounded, so that a long word costs no more than its length.
_ADDRESS = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.\-]{0,15}:)?//[^\s\"'<>]+")
_RUN_BY_SPREADSHEETS = re.compile(r"'*[=+\-@\t\r\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"[+\-]?(?:\d{1,400}(?:\.\d{0,400})?|\.\d{1,400})(?:[eE][+\-]?\d{1,4})?")


def escaped_json(text: str) -> str:
    r"""Return a JSON document in which unprintable characters are escaped as ``\uNNNN``.

    The document means the same: they occur only inside strings. Line feeds stay.
    """
    plain = text.replace("\n", "")
    if plain.isprintable() and (plain.isascii() or INVISIBLE.isdisjoint(plain)):
        return text
    return "".join(c if c == "\n" or is_shown(c) else _json_escape(c) for c in text)


def _json_escape(c: str) -> str:
    units = c.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[k : k + 2].hex()}" for k in range(0, len(units), 2))


# --- secrets in addresses ------------------------------------------------------------------------


def hidden_secrets(text: str, *addresses: str) -> str:
    """Return text whose addresses show neither user, password, path nor query.

    Providers put an API key in the path or the query of a node's address, others in the user's
    name. Scheme, host and port stay, because a reader needs them. Works in time proportional to
    the length of the text.

    Parameters
    ----------
    text
        A message, possibly from a library or a node; or an address itself.
    addresses
        Addresses whose secret parts may occur in the text alone, as in ``url: /v3/KEY``.
    """
    for secret in _secrets(addresses):
        text = text.replace(secret, _SECRET)
    return _ADDRESS.sub(lambda found: _without_secrets(found[0]), text)


def _without_secrets(address: str) -> str:
    scheme, _, rest = address.partition("//")
    authority = re.split(r"[/?#\\]", rest, maxsplit=1)[0]
    tail = rest[len(authority) :]
    user, at, host = authority.rpartition("@")
    shown = f"{scheme}//{_SECRET + at if user else at}{host}"
    closing = tail[len(tail.rstrip(").,;:!?/")) :] if tail else ""
    inner = tail[: len(tail) - len(closing)]
    return shown + (f"/{_SECRET}{closing.lstrip('/')}" if inner.strip("/?#") else tail)


def _secrets(addresses: tuple[str, ...]) -> list[str]:
    """Return what must not be shown of the addresses, the longest first."""
    found: set[str] = set()
    for address in addresses:
        try:
            parts = urlsplit(address if "//" in address else f"//{address}")
        except ValueError:  # not an address: nothing of it is known to be harmless
            found.add(address)
            continue
        if parts.scheme and not parts.netloc:
            continue
        user_and_password = parts.netloc.rpartition("@")[0].split(":", 1)
        pieces = [*user_and_password, parts.query, parts.fragment]
        pieces += [parts.path, *parts.path.split("/"), *re.split(r"[&=]", parts.query)]
        found.update(form for piece in pieces for form in (piece, unquote(piece)))
    return sorted(
        (secret for secret in found if len(secret.strip("/")) >= 6), key=len, reverse=True
    )


# --- cells of spreadsheets -----------------------------------------------------------------------


def spreadsheet_cell(text: str) -> str:
    """Return the text of a CSV cell that no spreadsheet takes for a formula.

    Text that begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return gets an apostrophe
    in front of it, which spreadsheets treat as "this is text"; numbers stay.
    :func:`read_cell` takes the apostrophe away again.
    """
    if _RUN_BY_SPREADSHEETS.match(text) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text


def read_cell(text: str) -> str:
    """Return the text that :func:`spreadsheet_cell` was given."""
    if text.startswith("'") and _RUN_BY_SPREADSHEETS.match(text):
        return text[1:]
    return text


def frame_csv(frame: Any, *, excel: bool = False) -> bytes:
    """Return a pandas table as CSV without cells that a spreadsheet would run.

    Parameters
    ----------
    frame
        The table; numbers keep every digit.
    excel
        Whether it is meant for Excel, which takes UTF-8 for its own code page unless a byte order
        mark is in front.
    """
    safe = frame.rename(columns=lambda name: spreadsheet_cell(str(name)))
    for place, kind in enumerate(safe.dtypes):
        if not (hasattr(kind, "kind") and kind.kind in "biuf"):
            column = safe.iloc[:, place].map(
                lambda cell: spreadsheet_cell(cell) if isinstance(cell, str) else cell
            )
            safe.isetitem(place, column)
    text = str(safe.to_csv(index=False, lineterminator="\n"))
    return text.encode("utf-8-sig" if excel else "utf-8")
