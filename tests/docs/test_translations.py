"""The translated pages say what their originals say, as far as a program can tell.

``PAGE.zh-CN.md`` is the Simplified Chinese of ``PAGE.md`` beside it. Both name the other on the
third line. For the rest they have, heading by heading,

* the same levels of headings, and below each the same sequence of paragraphs, list items, code
  blocks and tables;
* the same code blocks, byte for byte: the original's run in ``test_pages``, so the translation's
  need not run again;
* the same numbers and the same inline code, in tables cell by cell;
* the same targets of links, but that a link to a whole page which has a translation goes there.

The order of numbers, inline code and links within a section is free, since languages differ in it.
Nobody notices here that a sentence was only worded differently.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token
from tests.docs.test_pages import PAGES, ROOT

SUFFIX = ".zh-CN.md"
TRANSLATIONS = sorted([*ROOT.glob(f"*{SUFFIX}"), *(ROOT / "docs").rglob(f"*{SUFFIX}")])
NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:e-?\d+)?")
KINDS = {
    "paragraph_open": "paragraph",
    "list_item_open": "list item",
    "fence": "code block",
    "code_block": "code block",
    "table_open": "table",
    "html_block": "HTML",
}


# --- reading a page -----------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Facts:
    """What must survive a translation of some text."""

    numbers: Counter[str] = dataclasses.field(default_factory=Counter)
    code: Counter[str] = dataclasses.field(default_factory=Counter)
    links: list[str] = dataclasses.field(default_factory=list)

    def read(self, inline: Token) -> None:
        """Add the facts of a piece of running text."""
        for token in inline.children or []:
            if token.type == "text":
                self.numbers.update(NUMBER.findall(token.content))
            elif token.type == "code_inline":
                self.code[token.content] += 1
            elif token.type in ("link_open", "image"):
                target = token.attrs.get("href", token.attrs.get("src"))
                self.links.append(str(target))


@dataclasses.dataclass(frozen=True)
class Section:
    """What stands between two headings."""

    line: int  # of the heading, counted from 1
    level: str  # h1, h2, ...
    facts: Facts = dataclasses.field(default_factory=Facts)  # tables apart, but for their links
    sequence: list[str] = dataclasses.field(default_factory=list)
    blocks: list[tuple[int, str, str]] = dataclasses.field(default_factory=list)
    tables: list[list[list[Facts]]] = dataclasses.field(default_factory=list)


def sections_of(text: str) -> list[Section]:
    """Return the sections of a page, in order."""
    sections: list[Section] = []
    cell: Facts | None = None
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        line = token.map[0] + 1 if token.map else 0
        if token.type == "heading_open":
            sections.append(Section(line, token.tag))
            continue
        if not sections:
            raise ValueError(f"line {line}: a page starts with a heading")
        section = sections[-1]
        if token.type in KINDS and not token.hidden:
            section.sequence.append(KINDS[token.type])
        if token.type in ("fence", "code_block"):
            section.blocks.append((line, token.info, token.content))
        elif token.type == "table_open":
            section.tables.append([])
        elif token.type == "tr_open":
            section.tables[-1].append([])
        elif token.type in ("th_open", "td_open"):
            cell = Facts(links=section.facts.links)
            section.tables[-1][-1].append(cell)
        elif token.type in ("th_close", "td_close"):
            cell = None
        elif token.type == "inline":
            (cell or section.facts).read(token)
    return sections


def original_of(translation: Path) -> Path:
    """Return the page that was translated."""
    return translation.with_name(translation.name.removesuffix(SUFFIX) + ".md")


def without_line_3(page: Path) -> str:
    """Return the text without the line that names the languages; the others keep their numbers."""
    lines = page.read_text("utf-8").splitlines(keepends=True)
    return "".join([*lines[:2], "\n", *lines[3:]])


# --- comparing ----------------------------------------------------------------------------------


def differences(original: str, translation: str, folder: Path) -> list[str]:
    """Return where two pages of a folder disagree, for a person to mend."""
    first, second = sections_of(original), sections_of(translation)
    levels = [[section.level for section in page] for page in (first, second)]
    if levels[0] != levels[1]:  # then comparing section by section means little
        return [f"headings: {' '.join(levels[0])} became {' '.join(levels[1])}"]
    found: list[str] = []
    for entry, other in zip(first, second, strict=True):
        place = f"section of line {entry.line} (in the translation of line {other.line}): "
        found += [place + what for what in _differences(entry, other, folder)]
    return found


def _differences(one: Section, other: Section, folder: Path) -> Iterator[str]:
    if one.sequence != other.sequence:
        yield f"{', '.join(one.sequence)} became {', '.join(other.sequence)}"
    for block, copy in zip(one.blocks, other.blocks, strict=False):
        yield from _block_differences(block, copy)
    yield from _counted("numbers", one.facts.numbers, other.facts.numbers)
    yield from _counted("inline code", one.facts.code, other.facts.code)
    links = Counter(_target(link, folder) for link in one.facts.links)
    yield from _counted("links", links, Counter(other.facts.links))
    for number, (table, copied) in enumerate(zip(one.tables, other.tables, strict=False), start=1):
        sizes = [[len(row) for row in rows] for rows in (table, copied)]
        if sizes[0] != sizes[1]:
            yield f"table {number}: cells by row {sizes[0]} became {sizes[1]}"
            continue
        for row, (cells, copies) in enumerate(zip(table, copied, strict=True)):
            for column, (a, b) in enumerate(zip(cells, copies, strict=True), start=1):
                where = f"table {number}, row {row}, column {column}: "
                yield from _counted(f"{where}numbers", a.numbers, b.numbers)
                yield from _counted(f"{where}inline code", a.code, b.code)


def _block_differences(block: tuple[int, str, str], copy: tuple[int, str, str]) -> Iterator[str]:
    if block[1] != copy[1]:
        yield f"code block of line {block[0]}: language {block[1]!r} became {copy[1]!r}"
    lines = zip_longest(block[2].splitlines(), copy[2].splitlines())
    unequal = next(((a, b) for a, b in lines if a != b), None)
    if unequal is not None:
        yield f"code block of line {block[0]}: {unequal[0]!r} became {unequal[1]!r}"


def _counted(what: str, original: Counter[str], translation: Counter[str]) -> Iterator[str]:
    if original != translation:
        lost = sorted((original - translation).elements())
        new = sorted((translation - original).elements())
        yield f"{what}: missing in the translation {lost}, only there {new}"


def _target(link: str, folder: Path) -> str:
    # A heading has another anchor in another language, so links to headings keep the original.
    if not link.endswith(".md"):
        return link
    translated = link.removesuffix(".md") + SUFFIX
    return translated if (folder / translated).exists() else link


# --- the pages ----------------------------------------------------------------------------------


@pytest.fixture(params=TRANSLATIONS, ids=lambda page: page.relative_to(ROOT).as_posix())
def translation(request: pytest.FixtureRequest) -> Path:
    page: Path = request.param
    return page


def test_the_translations_are_found() -> None:
    found = {page.relative_to(ROOT).as_posix() for page in TRANSLATIONS}
    assert {"README.zh-CN.md", "docs/explanation/payoff.zh-CN.md"} <= found


def test_only_the_blocks_of_the_original_run(translation: Path) -> None:
    assert original_of(translation) in PAGES
    assert translation not in PAGES


def test_each_names_the_other_on_line_3(translation: Path) -> None:
    original = original_of(translation)
    lines = [page.read_text("utf-8").splitlines()[2] for page in (original, translation)]
    assert lines == [
        f"English | [简体中文]({translation.name})",
        f"[English]({original.name}) | 简体中文",
    ]


def test_the_translation_agrees_with_its_original(translation: Path) -> None:
    original = original_of(translation)
    found = differences(without_line_3(original), without_line_3(translation), original.parent)
    assert not found, (
        f"{translation.name} is not what {original.name} says. Whoever changes the one changes the "
        "other too: carry each difference below over, and copy code blocks as they are.\n"
        + "\n".join(found)
    )


# --- the comparison itself ----------------------------------------------------------------------

ORIGINAL = """\
# Two firms

Beta pays 4.25, see [the errata](errata.md) and [the file](../file.md#rho). Run `tradefl solve`.

- one
- two

## Table, Eq. (2)

| symbol | value |
|---|---|
| `s` | 36e9 bit, 2 times |

    x = 1

```python
print(1)
print(2)
```
"""
TRANSLATION = """\
# 两家公司

运行 `tradefl solve`。Beta 付 4.25，见[文件](../file.md#rho)和[勘误](errata.zh-CN.md)。

- 一
- 二

## 表，式 (2)

| 符号 | 值 |
|---|---|
| `s` | 2 倍，36e9 bit |

    x = 1

```python
print(1)
print(2)
```
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder where one page has a translation."""
    (tmp_path / "errata.zh-CN.md").touch()
    return tmp_path


def test_a_faithful_translation_has_no_differences(folder: Path) -> None:
    assert differences(ORIGINAL, TRANSLATION, folder) == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("## Table", "### Table", "headings: h1 h3 became h1 h2"),
        ("- two\n", "- two\n- three\n", "section of line 1 (in the translation of line 1): "),
        ("- two\n", "- two\n\nMore.\n", "list item, paragraph became"),
        ("4.25", "4.50", "numbers: missing in the translation ['4.50'], only there ['4.25']"),
        ("Eq. (2)", "Eq. (3)", "section of line 8 (in the translation of line 8): numbers"),
        ("tradefl solve", "tradefl tune", "inline code: missing in the translation"),
        ("file.md#rho", "file.md#gamma", "links: missing in the translation"),
        ("errata.md", "trust.md", "links: missing in the translation ['trust.md']"),
        ("36e9", "37e9", "table 1, row 1, column 2: numbers"),
        ("`s`", "`u`", "table 1, row 1, column 1: inline code"),
        ("| symbol | value |\n|---|---|", "| a | b | c |\n|---|---|---|", "table 1: cells by row"),
        ("    x = 1\n", "    x = 1 \n", "code block of line 14: 'x = 1 ' became 'x = 1'"),
        ("print(2)\n", "", "code block of line 16: None became 'print(2)'"),
        ("```python", "```text", "code block of line 16: language 'text' became 'python'"),
    ],
)
def test_a_change_of_the_original_is_told(old: str, new: str, told: str, folder: Path) -> None:
    assert ORIGINAL.count(old) == 1
    found = differences(ORIGINAL.replace(old, new), TRANSLATION, folder)
    assert told in "\n".join(found)


def test_a_page_without_a_heading_is_refused() -> None:
    with pytest.raises(ValueError, match="line 1: a page starts with a heading"):
        sections_of("Text.\n")
