"""``python -m tests.docs.refresh [PAGE ...]``: put what commands print now below them.

Rewrites the console blocks of the pages; read the difference before you commit it. Blocks that
are shortened by a line ``...`` are left alone.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.docs.test_pages import PAGES, PLAIN, ROOT


def refreshed(block: str) -> str:
    """Return a console block with the present output of its tradefl commands."""
    pieces = re.split(r"(?m)^(?=\$ )", block)
    return "".join(_with_output(piece) for piece in pieces)


def _with_output(piece: str) -> str:
    command = piece.partition("\n")[0]
    shortened = re.search(r"(?m)^\.\.\.$", piece)
    if not command.startswith("$ tradefl ") or command.endswith("\\") or shortened:
        return piece
    arguments = shlex.split(command.removeprefix("$ tradefl "), comments=True)
    done = subprocess.run(
        [sys.executable, "-m", "tradefl", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=PLAIN,
        check=False,
    )
    return f"{command}\n{done.stdout.rstrip()}\n"


def main() -> None:
    """Refresh the named pages, or all."""
    for page in [Path(name) for name in sys.argv[1:]] or PAGES:
        text = page.read_text(encoding="utf-8")
        new = re.sub(
            r"(?ms)^(```console\n)(.*?)^(```)$",
            lambda found: found[1] + refreshed(found[2]) + found[3],
            text,
        )
        if new != text:
            page.write_text(new, encoding="utf-8")
            sys.stdout.write(f"refreshed {page}\n")


if __name__ == "__main__":
    main()
