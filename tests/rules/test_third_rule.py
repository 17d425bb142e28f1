"""A new rule touches six places, which CONTRIBUTING.md lists, and works from file to chain."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.cli.command import run
from tests.consortium.documents import document, save
from tests.rules.toy import NAME, WORDS, DataRule, DataTerms, registered

import tradefl
from tradefl.errors import InputError
from tradefl.report.symbols import symbols_of
from tradefl.settlement import Agreement

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "tradefl"


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    with registered():
        yield save(tmp_path, document({"mechanism.rule": NAME}))


def test_without_it_the_file_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, document({"mechanism.rule": NAME}))
    with pytest.raises(InputError, match=r"mechanism.rule: expected 'linear' or 'efficient'"):
        tradefl.load(path)


@pytest.mark.parametrize("method", ["exact", "dbr"])
def test_it_is_solved_and_judged(file: Path, method: str) -> None:
    consortium = tradefl.load(file)
    solution = tradefl.solve(consortium, method=method)
    game, profile = consortium.game, solution.profile
    assert isinstance(game.rule, DataRule)
    gamma, rho = game.incentive_intensity, game.competition
    bits = profile.data_fraction * game.data_bits
    expected = [
        gamma * sum(r * (bits[i] - bits[j]) for j, r in zip(*rho.row(i), strict=True))
        for i in range(game.size)
    ]
    assert solution.terms.redistribution == pytest.approx(expected, rel=1e-12, abs=1e-9)
    # No deviation on a grid pays more than the certificate says.
    for i in range(game.size):
        own = solution.payoffs[i]
        levels = game.cpu_levels_hz[i]
        for level in levels[~np.isnan(levels)]:
            most = float(game.max_data_fraction(game.cpu_levels_hz)[i][list(levels).index(level)])
            if not most >= game.min_data_fraction:
                continue
            for d in np.linspace(game.min_data_fraction, most, 21):
                moved = profile.replaced(i, float(d), float(level))
                gain = tradefl.game.payoffs(game, moved).payoff[i] - own
                assert gain <= solution.certificate.regret[i] + 1e-9 * abs(own)


def test_its_statement_recomputes(file: Path) -> None:
    solution = tradefl.solve(tradefl.load(file))
    for i in range(3):
        made = solution.statement(i)
        lines = made.section("redistribution")
        assert lines
        assert {line.formula for line in lines} == {"gamma * rho_ij * (y_i - y_j)"}
        for line in lines:
            assert float(eval(line.calculation)) == pytest.approx(line.amount, rel=1e-9)  # noqa: S307
        total = sum(line.amount for line in lines)
        assert total == pytest.approx(solution.terms.redistribution[i], rel=1e-9, abs=1e-9)


def test_it_is_agreed_on_and_settled_to_the_wei(file: Path) -> None:
    consortium = tradefl.load(file)
    agreement = Agreement.of(consortium, [f"0x{k + 1:040x}" for k in range(3)])
    assert isinstance(agreement.rule, DataTerms)
    assert agreement.rule.coefficients[1] == 0
    again = Agreement.from_document(agreement.to_dict())
    assert again.rule == agreement.rule
    ran = run("settle", file, "--json")
    assert ran.code == 0, ran.err
    settled = ran.json
    assert settled["phase"] == "settled"
    assert settled["audit"]["agrees"]
    solution = tradefl.solve(consortium)
    paid = [int(entry["redistribution_wei"]) for entry in settled["organizations"]]
    assert sum(paid) == 0
    expected = solution.terms.redistribution * agreement.wei_per_payoff
    assert paid == pytest.approx(expected.tolist(), rel=1e-6, abs=1e9)


def test_its_words_are_in_the_report(file: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    ran = run("report", file, "--output", page, "--no-tune")
    assert ran.code == 0, ran.err
    text = page.read_text("utf-8")
    for sentence in (WORDS.principle, WORDS.payments, WORDS.summary):
        assert symbols_of(())(sentence) in text


def test_contributing_lists_exactly_the_six_places() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    [entry] = re.findall(r"(?ms)^- \*\*redistribution rule\*\*.*?(?=^- \*\*)", text)
    assert re.findall(r"^  [1-6]\. `([^`]+)`", entry, flags=re.MULTILINE) == [
        "game/rules.py",
        "settlement/rules/",
        "consortium/schema.py",
        "statement.py",
        "report/rule_words.py",
        "contracts/src/",
    ]


def test_nobody_else_asks_which_rule_it_is() -> None:
    """All other files ask the rule, or look it up in the place that knows."""
    places = {"game/rules.py", "statement.py", "consortium/schema.py", "report/rule_words.py"}
    asked = re.compile(r"""rule(?:\.name)? (?:==|!=) ["']|isinstance\([^)]*\.rule, """)
    found = [
        path.relative_to(SRC).as_posix()
        for path in sorted(SRC.rglob("*.py"))
        if asked.search(path.read_text("utf-8"))
    ]
    assert [name for name in found if name not in places and "settlement/rules/" not in name] == []
