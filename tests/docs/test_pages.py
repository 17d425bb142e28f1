"""The pages are true: their Python runs, their commands print what stands below them.

What counts, in ``README.md`` and every ``docs/**/*.md`` but the translations, whose blocks are
those of their originals (``test_translations`` compares them):

* A ````` ```python ````` block runs, in one namespace with the earlier ones of its page. When the
  next block is a ````` ```text ````` block with only blank lines in between, that is its output.
* In a ````` ```console ````` block a line that starts with ``$ `` is a command (continued after a
  trailing backslash), and the lines up to the next command are its stdout. ``tradefl`` commands
  run and must exit with 0; a comment ``# exits 1`` asks for another status. Other commands do
  not run.

The steps of a page run in order, in a temporary folder that links to everything at the root of the
repository: a page may read ``examples/...``, and what it writes is gone afterwards.

Outputs must agree line by line, but for

* blanks at the ends of lines, and blank lines at the end of an output;
* a line ``...`` on the page, which stands for any number of lines;
* run times, as in ``in 0.0123 s`` or ``"runtime_seconds": 0.0123``;
* what rounding leaves of a zero: numbers below 1e-12, and the widths of columns.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from tests.optional import missing_module, skip_without_extra

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    *sorted(set((ROOT / "docs").rglob("*.md")) - set((ROOT / "docs").rglob("*.zh-CN.md"))),
]
PLAIN = {"COLUMNS": "300", "NO_COLOR": "1", "TERM": "dumb", "PYTHONIOENCODING": "utf-8"}
# Deprecations are the dependencies' business: Typer imports names that Click has deprecated.
WARNINGS = ["-W", "error", "-W", "ignore::DeprecationWarning"]


@dataclasses.dataclass(frozen=True)
class Step:
    """A Python block or a command of a page, and what it prints according to the page."""

    line: int  # of the fence, or of the command; counted from 1
    code: str  # Python, or the arguments of tradefl
    is_command: bool
    expected: str | None


# --- reading a page -----------------------------------------------------------------------------


def steps_of(text: str) -> list[Step]:
    """Return the steps of a page in order."""
    steps: list[Step] = []
    pending: Step | None = None  # a Python block whose output may follow
    for line, language, body, gap in _blocks(text):
        if language == "text" and pending is not None and gap.strip() == "":
            steps[-1] = dataclasses.replace(pending, expected=body)
        pending = None
        if language == "python":
            pending = Step(line, body, is_command=False, expected=None)
            steps.append(pending)
        elif language == "console":
            steps += _commands(line + 1, body)
    return steps


def _blocks(text: str) -> Iterator[tuple[int, str, str, str]]:
    """Yield the line, the language, the body and the text before each fenced block."""
    opened: tuple[int, str, str] | None = None
    body: list[str] = []
    gap: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        fence = re.fullmatch(r" *(`{3,})([^`]*)", line)
        if opened is None:
            if fence:
                opened, body = (number, fence[1], fence[2].strip()), []
            else:
                gap.append(line)
        elif fence and len(fence[1]) >= len(opened[1]) and not fence[2].strip():
            yield opened[0], opened[2], "".join(f"{entry}\n" for entry in body), "\n".join(gap)
            opened, gap = None, []
        else:
            body.append(line)
    if opened is not None:
        raise ValueError(f"line {opened[0]}: the block is never closed")


def _commands(first: int, body: str) -> list[Step]:
    commands: list[tuple[int, str, list[str]]] = []
    for number, line in enumerate(body.splitlines(), start=first):
        if line.startswith("$ "):
            commands.append((number, line[2:], []))
        elif commands and commands[-1][1].endswith("\\"):
            at, command, printed = commands[-1]
            commands[-1] = at, command[:-1] + line, printed
        elif commands:
            commands[-1][2].append(line)
        else:
            raise ValueError(f"line {number}: a console block starts with a command, '$ ...'")
    return [
        Step(
            at,
            command.removeprefix("tradefl").strip(),
            is_command=True,
            expected="".join(f"{line}\n" for line in printed),
        )
        for at, command, printed in commands
        if command.split()[0] == "tradefl"
    ]


# --- comparing ----------------------------------------------------------------------------------


def _zero_if_tiny(found: re.Match[str]) -> str:
    # Only regrets, gaps and imbalances are so small, and they are zero but for rounding.
    return "0" if float(found[1]) < 1e-12 and "e-" in found[1] else found[0]


def masked(line: str) -> str:
    """Return the line without what differs from run to run and from machine to machine."""
    line = re.sub(r"\bin [0-9.]+(e-?[0-9]+)? s\b", "in # s", line.rstrip())
    line = re.sub(r'("runtime_seconds": )[0-9.e-]+', r"\1#", line)
    line = re.sub(r"(?<![\w.])([0-9.]+e-[0-9]+)\b", _zero_if_tiny, line)
    # What a tiny number takes up moves the columns beside it.
    return re.sub(r"─+", "─", re.sub(r" +", " ", line))


def agrees(expected: str, printed: str) -> bool:
    """Return whether an output is what the page shows."""
    page = [masked(line) for line in expected.rstrip().splitlines()]
    output = "".join(masked(line) + "\n" for line in printed.rstrip().splitlines())
    pattern = "".join(r"(?:.*\n)*?" if line == "..." else re.escape(line) + r"\n" for line in page)
    return re.fullmatch(pattern, output) is not None


# --- running ------------------------------------------------------------------------------------


class Page:
    """A page that runs its steps in order, each once, as far as it is asked to."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path, self.folder = path, folder
        self.steps = steps_of(path.read_text(encoding="utf-8"))
        self.namespace: dict[str, Any] = {"__name__": "__main__"}
        self.outputs: list[str] = []
        self.broken: int | None = None  # the line of the step that failed
        self.missing = False  # because something is not installed
        for entry in ROOT.iterdir():
            if not entry.name.startswith("."):
                (folder / entry.name).symlink_to(entry)

    def output(self, number: int) -> str:
        """Return what a step prints, having run all steps up to it."""
        with contextlib.chdir(self.folder):
            while len(self.outputs) <= number:
                if self.broken is not None:
                    end = pytest.skip if self.missing else pytest.fail
                    end(f"{self.path.name}:{self.broken} failed, so this one cannot run")
                step = self.steps[len(self.outputs)]
                self.broken = step.line
                try:
                    printed = self._command(step) if step.is_command else self._python(step)
                except (Exception, pytest.skip.Exception) as error:
                    skipped = isinstance(error, pytest.skip.Exception)
                    self.missing = skipped or missing_module(error) is not None
                    raise
                self.outputs.append(printed)
                self.broken = None
        return self.outputs[number]

    def _python(self, step: Step) -> str:
        # Line numbers in a traceback are those of the page.
        code = compile("\n" * step.line + step.code, str(self.path), "exec", dont_inherit=True)
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(code, self.namespace)  # noqa: S102
        return output.getvalue()

    def _command(self, step: Step) -> str:
        arguments = shlex.split(step.code, comments=True)
        assert not {"|", ">", "2>&1", "&&", ";"} & set(arguments), "no shell: plain commands only"
        status = re.search(r"# exits ([0-9]+)", step.code)
        done = subprocess.run(
            [sys.executable, *WARNINGS, "-m", "tradefl", *arguments],
            capture_output=True,
            env={**os.environ, **PLAIN, "PYTHONPATH": str(ROOT / "src")},
            timeout=60,
            check=False,
        )
        error = done.stderr.decode()
        skip_without_extra(error)
        assert done.returncode == (int(status[1]) if status else 0), error
        assert "Warning" not in error, error
        return done.stdout.decode()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return cache(lambda path: Page(path, tmp_path_factory.mktemp(path.stem)))


def _cases() -> list[Any]:
    return [
        pytest.param(path, number, id=f"{path.relative_to(ROOT).as_posix()}:{step.line}")
        for path in PAGES
        for number, step in enumerate(steps_of(path.read_text(encoding="utf-8")))
    ]


@pytest.mark.parametrize(("path", "number"), _cases())
def test_step(path: Path, number: int, pages: Any) -> None:
    page = pages(path)
    printed = page.output(number)
    expected = page.steps[number].expected
    if expected is not None and not agrees(expected, printed):
        # Let pytest show where they differ.
        assert [masked(line) for line in printed.rstrip().splitlines()] == [
            masked(line) for line in expected.rstrip().splitlines()
        ]


# --- the readers and comparers themselves ---------------------------------------------------------

SAMPLE = """\
Text.

```python
print(1)
```

```text
1
```

```python
print(2)
```

Between.

```text
not an output
```

````console
$ tradefl check \\
    a.toml
a
```
b

$ make
$ tradefl solve "b c.toml"  # exits 2
````
"""


def test_steps_of_a_page() -> None:
    python = [(step.line, step.code, step.expected) for step in steps_of(SAMPLE)[:2]]
    assert python == [(3, "print(1)\n", "1\n"), (11, "print(2)\n", None)]
    commands = [
        (step.line, shlex.split(step.code, comments=True), step.expected)
        for step in steps_of(SAMPLE)[2:]
    ]
    assert commands == [
        (22, ["check", "a.toml"], "a\n```\nb\n\n"),
        (29, ["solve", "b c.toml"], ""),
    ]


@pytest.mark.parametrize("text", ["```python\nprint(1)\n", "```console\nno command\n```\n"])
def test_malformed_page_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="line"):
        steps_of(text)


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("a\nb\n", "a  \nb\n\n", True),
        ("a\nb\n", "a\n\nb\n", False),
        ("a\n", "a\nb\n", False),
        ("", "a\n", False),
        ("a\n...\nd\n", "a\nb\nc\nd\n", True),
        ("a\n...\nd\n", "a\nd\n", True),
        ("a\n...\nd\n", "a\nb\n", False),
        ("...\n", "a\nb\n", True),
        ("a.b\n", "axb\n", False),
        ("3 in 0.0123 s\n", "3 in 4.5e-05 s\n", True),
        ("3 in 0.0123 s\n", "4 in 0.0123 s\n", False),
        ('"runtime_seconds": 0.1,\n', '"runtime_seconds": 2e-05,\n', True),
        ("max regret  0: nobody\n", "max regret  2.3e-13: nobody\n", True),
        ("max regret  0: nobody\n", "max regret  0.1: nobody\n", False),
        ("budget imbalance  2e-15\n", "budget imbalance  0\n", True),
    ],
)
def test_agrees(expected: str, printed: str, same: bool) -> None:
    assert agrees(expected, printed) is same


def test_the_pages_are_found_and_have_steps() -> None:
    tested = {case.values[0].name for case in _cases()}
    assert {"README.md", "payoff.md", "errata.md"} <= tested
