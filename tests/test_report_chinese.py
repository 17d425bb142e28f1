"""The board's report in Chinese: the numbers of the English one, and nothing left in English."""

import html
import re
from collections import Counter
from pathlib import Path

import pytest
from tests.cli.command import run
from tests.consortium.documents import document, save

import tradefl
from tradefl.comparison import compare
from tradefl.design import design
from tradefl.report import report
from tradefl.report.chinese import SENTENCES, WHOLE, chinese_of
from tradefl.stability.verdict import stability_of

EXAMPLES = Path(__file__).parents[1] / "examples"
NUMBER = re.compile(r"\d(?:[\d,]*\d)?(?:\.\d+)?(?:e-?\d+)?")
# What stays: the title of the paper, names of commands, options and keys.
KEPT = (
    "TradeFL: A Trading Mechanism for Cross-Silo Federated Learning",
    *("tradefl explain", "tradefl stability", "tradefl solve --json", "S. Yuan"),
)


def three(tmp_path, changes):
    return tradefl.load(save(tmp_path, document(changes)))


def reports(consortium, solution=None):
    solution = tradefl.solve(consortium) if solution is None else solution
    comparison = compare(consortium)
    stays = stability_of(solution)
    return tuple(
        report(
            *(consortium, solution),
            comparison=comparison,
            stability=stays,
            audience="board",
            language=language,
        )
        for language in ("en", "zh")
    )


def texts(page):
    """The texts of a page, one for each node, without style and head."""
    body = page[page.index("<body") :]
    return [html.unescape(" ".join(entry.split())) for entry in re.findall(r">([^<>]+)<", body)]


def cases(tmp_path):
    wind = tradefl.load(EXAMPLES / "wind_operators.toml")
    hospitals = tradefl.load(EXAMPLES / "hospitals.toml")
    designed = hospitals.designed(design(hospitals.game, random_starts=0).rule, "equal-gain")
    loser = three(tmp_path, {"organization.1.joining_cost": 1e5})
    free = three(tmp_path, {"competition": {"default": 0.0}})
    banks = tradefl.load(EXAMPLES / "banks_fraud.toml")
    return {
        "banks": banks,
        "wind": wind,
        "hospitals": hospitals,
        "efficient": designed,
        "loser": loser,
        "no": free,
    }


@pytest.mark.parametrize("name", ["banks", "wind", "hospitals", "efficient", "loser", "no"])
def test_its_numbers_are_those_of_the_english_report(tmp_path, name):
    consortium = cases(tmp_path)[name]
    english, chinese = reports(consortium)
    assert '<html lang="zh-CN">' in chinese
    here, there = (Counter(NUMBER.findall(" ".join(texts(page)))) for page in (english, chinese))
    assert sum(here.values()) > 100
    assert there == here
    # The same structure: as many cells, links and charts.
    for tag in ("<td", "<tr", "<a ", "<svg", "<section"):
        assert chinese.count(tag) == english.count(tag)
    # Nothing but names, formulas and what is listed stays in English.
    for text in texts(chinese):
        for kept in (*consortium.names, consortium.name, *KEPT):
            text = text.replace(kept, "")
        assert not re.search(r"[A-Za-z]{3,} [A-Za-z]{2,}", text), text


def test_names_stay_whatever_they_are():
    chinese = chinese_of(["all", "payoff", "Bank all data"])
    assert chinese("all") == "all"
    assert chinese("payoff") == "payoff"
    assert chinese("Bank all data pays payoff") == "Bank all data 支付给 payoff"
    assert chinese("alone") == "单独训练"


def test_every_sentence_has_a_translation_that_keeps_its_groups():
    for pattern, text in SENTENCES:
        groups = re.compile(pattern).groups
        assert {int(k) for k in re.findall(r"\\(\d)", text)} == set(range(1, groups + 1)), pattern
    assert all(re.search(r"[^\x00-\x7f]", text) or "TradeFL" in text for text in WHOLE.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--language", "zh"), "--language: the Chinese report is the board's"),
        (("--language", "fr", "--audience", "board"), "'fr' is not one of 'en', 'zh'"),
    ],
)
def test_a_language_that_there_is_not_is_refused(tmp_path, options, message):
    out = tmp_path / "page.html"
    ran = run("report", EXAMPLES / "hospitals.toml", "-o", out, *options)
    assert (ran.code, message in ran.err) == (2, True)
    assert not out.exists()
