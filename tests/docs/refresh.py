"""``python -m tests.docs.refresh [PAGE ...]``: put what the steps print now below them.

Rewrites the outputs on the pages that no longer agree, run as the tests run them; read the
difference before you commit it. Outputs that are shortened by a line ``...`` are for a hand to
mend: they are named, and the exit status is 1.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from tests.docs.test_pages import PAGES, Page, agrees


def refreshed(page: Page) -> tuple[str, list[int]]:
    """Return the page's text with the present outputs, and the lines of steps left to a hand."""
    left = []
    text = page.path.read_text(encoding="utf-8")
    # From the last one to the first: the lines above stay where they are.
    for number in reversed(range(len(page.steps))):
        step, printed = page.steps[number], page.output(number)
        shown = step.expected
        if shown is None or agrees(shown, printed):
            continue
        if re.search(r"(?m)^\.\.\.$", shown):
            left.append(step.line)
            continue
        lines = text.splitlines(keepends=True)
        first = step.line
        while lines[first - 1].endswith("\\\n"):
            first += 1
        at = text.index(shown, len("".join(lines[:first])))
        text = f"{text[:at]}{printed.rstrip()}\n{text[at + len(shown) :]}"
    return text, left


def main() -> None:
    """Refresh the named pages, or all."""
    by_hand = False
    for path in [Path(name).resolve() for name in sys.argv[1:]] or PAGES:
        with tempfile.TemporaryDirectory() as folder:
            new, left = refreshed(Page(path, Path(folder)))
        if new != path.read_text(encoding="utf-8"):
            path.write_text(new, encoding="utf-8")
            sys.stdout.write(f"refreshed {path.name}\n")
        for line in reversed(left):
            by_hand = True
            sys.stdout.write(f"mend by hand, the output is shortened: {path.name}:{line}\n")
    sys.exit(by_hand)


if __name__ == "__main__":
    main()
