"""The report: what it says, that the numbers are the library's, and that the page stands alone."""

from __future__ import annotations

import html
import itertools
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from tests.consortium.documents import document, organization, save
from tests.support import random_game

import tradefl
from tradefl.charts import drawing
from tradefl.design import design
from tradefl.errors import InputError
from tradefl.game import StrategyProfile
from tradefl.report import equations, frames, read_settlement, read_training, report
from tradefl.report.agreed import contributions_section
from tradefl.report.blocks import Facts, counted, listed, quantity, signed
from tradefl.report.symbols import symbols_of
from tradefl.solvers import Solution
from tradefl.solvers.solution import MAX_TRANSFERS_ORGANIZATIONS
from tradefl.statement import number as printed
from tradefl.tuning import tune

HOSTILE = "<script>alert('x')</script> & \"Sons\""
VOID = {"meta", "br", "hr", "link", "wbr"}


class Page(HTMLParser):
    """What a page has: elements with their attributes, headings, and tables as rows of text."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.text, self.elements, self.open, self.unbalanced = text, [], [], []
        self.tables, self.cell, self.in_svg = {}, None, 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.elements.append((tag, found))
        if tag in VOID:
            return
        self.open.append(tag)
        if tag == "table":
            self.tables[found["id"].removeprefix("table-")] = self.rows = []
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.cell = []

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.unbalanced.append(tag)
        if tag in ("td", "th"):
            self.rows[-1].append(" ".join("".join(self.cell).split()))
            self.cell = None

    def handle_data(self, data):
        if self.cell is not None:
            self.cell.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def words(self):
        """The text outside the charts and the style."""
        text = re.sub(r"<(svg|style).*?</\1>", " ", self.text, flags=re.DOTALL)
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    return tradefl.load(save(tmp_path_factory.mktemp("three"), document()))


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """Leave the charts empty but in the page of :func:`full`: drawing is what takes the time."""
    monkeypatch.setattr(drawing, "svg", lambda _: '<svg xmlns="http://www.w3.org/2000/svg"></svg>')


def page_of(consortium, solution=None, **more):
    return Page(report(consortium, solution or tradefl.solve(consortium), **more))


def many(folder, size=60, **changes):
    members = [
        organization(f"firm {k}", profitability=900.0 + 37.0 * (k % 11), sector=f"s{k % 4}")
        | {"data_bits": 1.0e10 + 4e8 * (k % 23), "cycles_per_bit": 2.0 + 0.1 * (k % 7)}
        for k in range(size)
    ]
    described = document(
        {
            "organization": members,
            "competition": {"within_sector": 4e-3, "across_sectors": 1e-3},
            **changes,
        }
    )
    return tradefl.load(save(folder, described))


# --- the page as a page --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """The page with every section and every chart, of a consortium with a hostile name in it."""
    folder = tmp_path_factory.mktemp("full")
    described = document(
        {
            "name": f"{HOSTILE} consortium",
            "organization.0.name": HOSTILE,
            "organization.0.sector": HOSTILE,
            "organization.1.sector": "b",
            "competition": {"pairs": [[HOSTILE, "Beta", 0.06], ["Beta", "Gamma", 0.05]]},
        }
    )
    consortium = tradefl.load(save(folder, described))
    return page_of(
        consortium,
        tuning=tune(consortium.game, method="dbr", points=9),
        training=read_training(write(folder, trained(consortium)), consortium),
        settlement=read_settlement(write(folder, settled(consortium)), consortium),
    )


def test_the_page_is_well_formed_and_every_reference_arrives(full):
    assert not full.open
    assert not full.unbalanced
    ids = [found["id"] for _, found in full.elements if found.get("id")]
    assert len(ids) == len(set(ids))
    targets = [found["href"] for found in full.all("a")]
    assert targets
    assert all(target.startswith("#") for target in targets)
    named = [
        entry for _, found in full.elements for entry in found.get("aria-labelledby", "").split()
    ]
    assert {target[1:] for target in targets} | set(named) <= set(ids)


def test_the_page_needs_nothing_else(full):
    for tag in (
        "script",
        "link",
        "img",
        "iframe",
        "object",
        "form",
        "image",
        "use",
        "foreignobject",
    ):
        assert not full.all(tag), tag
    outside = set(re.findall(r"https?://[^\s\"'<)]+", full.text))
    assert outside <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    style = re.search(r"<style>(.*?)</style>", full.text, re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style
    [policy] = [entry["content"] for entry in full.all("meta") if "http-equiv" in entry]
    assert "default-src 'none'" in policy


def test_the_page_can_be_read_aloud(full):
    assert full.all("html")[0]["lang"] == "en"
    levels = [int(tag[1]) for tag, _ in full.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert len(full.all("caption")) == len(full.all("table")) == len(full.tables)
    assert all(found.get("scope") in ("row", "col") for found in full.all("th"))
    assert all(found.get("role") == "img" for found in full.all("svg"))
    assert len(full.all("svg")) == len(full.all("figure"))
    names = [found["aria-labelledby"] for tag, found in full.elements if tag == "section"]
    assert len(names) == len(set(names))
    assert next(found["href"] for found in full.all("a")) == "#main"
    assert len(full.all("main")) == 1


def test_a_row_has_a_cell_for_each_heading(full):
    for name, rows in full.tables.items():
        assert {len(row) for row in rows} == {len(rows[0])}, name


def contrast(one, other):
    def luminance(colour):
        parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_text_has_contrast_in_light_and_dark(three):
    style = page_of(three).text
    themes = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    assert len(themes) == 3  # light, dark, print
    for theme in themes:
        colour = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", theme))
        for ink in ("ink", "quiet", "link", "warn"):
            for paper in ("paper", "panel"):
                assert contrast(colour[ink], colour[paper]) >= 4.5, (ink, paper)


def test_names_are_text_wherever_they_stand(full):
    assert not full.all("script")
    assert "<script" not in full.text
    assert HOSTILE in full.words
    for table in ("payoffs", "trained", "settled"):
        assert any(row[0] == HOSTILE for row in full.tables[table])


# --- the numbers ---------------------------------------------------------------------------------


def number(text):
    return float(text.replace(",", ""))


def test_every_payoff_is_that_of_the_library(three):
    solution = tradefl.solve(three)
    head, *rows, footer = page_of(three, solution).tables["payoffs"]
    assert head == [
        "organization",
        "revenue Eq. (4)",
        "overhead Eq. (8)",
        "damage Eq. (6)-(7)",
        "redistribution Eq. (10)",
        "payoff Eq. (11)",
        "alone",
        "gain over alone",
    ]
    terms = solution.terms
    assert [number(row[6]) for row in rows] == pytest.approx(solution.alone, rel=1e-3)
    assert [number(row[7]) for row in rows] == pytest.approx(solution.gain_over_alone, rel=1e-3)
    for k, name in enumerate(("revenue", "overhead", "damage", "redistribution", "payoff"), 1):
        column = getattr(terms, name)
        assert [number(row[k]) for row in rows] == pytest.approx(column, rel=1e-3, abs=1e-6)
        assert number(footer[k]) == pytest.approx(column.sum(), rel=1e-3, abs=1e-2)
    assert [row[0] for row in rows] == list(three.names)


def test_every_contribution_is_that_of_the_library(three):
    solution = tradefl.solve(three)
    _, *rows = page_of(three, solution).tables["contributed"]
    x = three.game.resource(solution.profile)
    for i, row in enumerate(rows):
        assert float(row[1]) == pytest.approx(solution.profile.data_fraction[i], abs=1e-6)
        assert row[2] == quantity(float(solution.profile.cpu_hz[i]), "Hz")
        assert row[4] == quantity(float(x[i]), "bit")
        assert number(row[5]) <= three.mechanism.deadline_seconds


def test_every_payment_is_that_of_the_library(three):
    solution = tradefl.solve(three)
    expected = sorted(solution.transfers(), key=lambda transfer: -transfer[2])
    _, *rows = page_of(three, solution).tables["transfers"]
    assert [(row[0], row[1]) for row in rows] == [
        (three.names[payer], three.names[receiver]) for payer, receiver, _ in expected
    ]
    for row, (_, _, amount) in zip(rows, expected, strict=True):
        assert number(row[2]) == pytest.approx(amount, rel=1e-5)


def test_a_statement_has_every_line_of_the_library(three):
    solution = tradefl.solve(three)
    page = page_of(three, solution)
    for i in range(len(three)):
        statement = solution.statement(i)
        _, *rows, footer = page.tables[f"statement-{i + 1}-lines"]
        shown = {row[2]: number(row[3]) for row in rows}
        for line in statement.lines:
            assert shown[line.calculation] == pytest.approx(line.amount, abs=1e-6)
        assert number(footer[3]) == pytest.approx(statement.payoff, abs=1e-6)
        sums = [number(row[3]) for row in rows if row[0].endswith(", all lines")]
        assert sum(sums) == pytest.approx(statement.payoff, abs=1e-5)
        quantities = {row[0] for row in page.tables[f"statement-{i + 1}-quantities"][1:]}
        symbols = symbols_of(three.names)
        assert quantities == {symbols(symbol) for symbol, _, _ in statement.quantities}


def test_every_equation_that_is_named_is_explained(full):
    explained = {row[0] for row in full.tables["equation-list"][1:]}
    assert explained == set(equations.EQUATIONS)
    linked = {found["href"] for found in full.all("a") if found.get("class") == "equation"}
    assert "#eq-9" in linked
    assert "#definition-3" in linked
    assert linked <= {f"#{equations.anchor(name)}" for name in explained}


# --- the frames behind the charts ----------------------------------------------------------------


@pytest.mark.parametrize("from_revenue", [True, False])
def test_steps_lead_from_the_revenue_to_the_payoff(three, from_revenue):
    solution = tradefl.solve(three)
    steps = frames.payoff_steps(solution, range(3), from_revenue=from_revenue)
    terms = solution.terms
    for i, (_, rows) in enumerate(steps.groupby("organization", sort=False)):
        rows = rows.set_index("step")
        before = 0.0 if from_revenue else terms.revenue[i]
        assert rows["start"]["overhead"] == pytest.approx(before)
        assert rows["end"]["redistribution"] - before == pytest.approx(
            terms.payoff[i] - terms.revenue[i], abs=1e-9
        )
        moved = rows.loc[["overhead", "damage", "redistribution"]]
        assert (moved["end"] - moved["start"]).tolist() == pytest.approx(
            [-terms.overhead[i], -terms.damage[i], terms.redistribution[i]], abs=1e-9
        )
        assert ("payoff" in rows.index) is not from_revenue


def test_sectors_pay_each_other_the_sum_of_what_their_members_pay(tmp_path):
    consortium = many(tmp_path, 30)
    solution = tradefl.solve(consortium)
    of = dict(zip(consortium.names, consortium.organizations.sectors, strict=True))
    added = {}
    for payer, receiver, amount in solution.transfers():
        one, other = of[consortium.names[payer]], of[consortium.names[receiver]]
        added[one, other] = added.get((one, other), 0.0) + amount
    paid, net = frames.payments_of_sectors(solution, consortium.organizations.sectors)
    found = {(row.payer, row.receiver): row.amount for row in paid.itertuples()}
    assert found
    for entry, other in found:
        expected = added.get((entry, other), 0.0) - added.get((other, entry), 0.0)
        assert found[entry, other] == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert net["amount"].sum() == pytest.approx(0.0, abs=1e-9)


def test_competition_of_sectors_is_the_mean_over_their_pairs(tmp_path):
    consortium = many(tmp_path, 30)
    of_sectors = frames.competition_of_sectors(consortium.game, consortium.organizations.sectors)
    for row in of_sectors.itertuples():
        assert row.intensity == pytest.approx(4e-3 if row.first == row.second else 1e-3)
    assert frames.competition_of_sectors(consortium.game, [None] * 30) is None


def test_competition_pairs_are_rho(three):
    pairs = frames.competition_pairs(three.game, range(3))
    found = {(row.first, row.second): row.intensity for row in pairs.itertuples()}
    assert found["Alpha", "Beta"] == found["Beta", "Alpha"] == 0.06
    assert found["Alpha", "Gamma"] == 0.0
    assert ("Alpha", "Alpha") not in found


def test_the_curve_begins_a_decade_before_gamma_matters(three):
    tuning = tune(three.game, method="dbr", points=33)
    curve = frames.gamma_curve(tuning)
    assert len(curve) < len(tuning.curve)
    changed = curve[abs(curve["welfare"] / tuning.without.social_welfare - 1.0) > 1e-9]
    assert curve["gamma"].iloc[0] >= changed["gamma"].iloc[0] / 10.0
    assert curve["gamma"].iloc[-1] == tuning.curve[-1].incentive_intensity


# --- the certificate and gamma -------------------------------------------------------------------


def checks(page):
    return {row[0]: row for row in page.tables["certificate"][1:]}


def test_an_equilibrium_is_certified_in_words(three):
    solution = tradefl.solve(three)
    page = page_of(three, solution)
    assert {name: row[2] for name, row in checks(page).items()} == {
        "the rules are kept": "yes",
        "no regret (Nash equilibrium)": "yes",
        "the highest potential": "yes",
        "budget balance": "yes",
        "better than alone": "yes",
        "individual rationality": "yes",
    }
    assert "Nobody gains by changing its own contribution alone." in page.words


def with_profile(consortium, fraction):
    game = consortium.game
    start = game.initial_profile()
    return Solution.certified(
        game,
        StrategyProfile(np.full(game.size, fraction), start.cpu_hz),
        finished=True,
        method="as settled",
        iterations=0,
        runtime_seconds=0.0,
    )


def test_what_is_no_equilibrium_is_not_called_one(three):
    solution = with_profile(three, 0.02)
    assert solution.certificate.max_regret > 1.0
    page = page_of(three, solution)
    found = checks(page)
    assert found["no regret (Nash equilibrium)"][2] == "no"
    assert number(found["no regret (Nash equilibrium)"][3]) == pytest.approx(
        solution.certificate.max_regret, rel=1e-2
    )
    assert found["the highest potential"][2] == "not proven"
    assert "Nobody gains" not in page.words
    worst = three.names[int(solution.certificate.regret.argmax())]
    assert f"{worst} would gain most by changing alone" in page.words


def test_a_broken_rule_is_told(tmp_path):
    consortium = tradefl.load(save(tmp_path, document({"mechanism.deadline_seconds": 15.0})))
    solution = tradefl.solve(consortium, method="tos")
    assert not solution.certificate.feasible
    page = page_of(consortium, solution)
    assert checks(page)["the rules are kept"][2] == "no"
    assert "Against the rules" in page.words


def test_a_negative_payoff_is_told_with_its_name(tmp_path):
    consortium = tradefl.load(save(tmp_path, document({"energy.upload_watts": 1e6})))
    solution = tradefl.solve(consortium)
    assert solution.payoffs.min() < 0.0
    page = page_of(consortium, solution, tuning=tune(consortium.game, method="dbr", points=5))
    row = checks(page)["individual rationality"]
    assert row[2] == "no"
    assert number(row[3]) == pytest.approx(solution.payoffs.min(), rel=1e-5)
    assert consortium.names[int(solution.payoffs.argmin())] in row[4]
    assert "somebody would lose by taking part" in page.words
    assert "At each γ that was tried, some organization would earn more alone." in page.words


def test_the_gamma_section_has_the_tuning_of_the_library(three):
    tuning = tune(three.game, method="dbr", points=17)
    page = page_of(three, tuning=tuning)
    rows = page.tables["gammas"][1:]
    points = {f"{point.incentive_intensity:.6g}": point for point in tuning.curve}
    assert {row[0] for row in rows} <= set(points)
    best = f"{tuning.best.game.incentive_intensity:.6g}"
    assert best in {row[0] for row in rows}
    for row in rows:
        assert number(row[1]) == pytest.approx(points[row[0]].social_welfare, rel=1e-6)
    assert best in page.words
    assert "gammas" not in page_of(three).tables


def test_without_competition_nobody_pays_and_gamma_has_no_effect(tmp_path):
    consortium = tradefl.load(save(tmp_path, document({"competition": {"default": 0.0}})))
    page = page_of(consortium, tuning=tune(consortium.game, method="dbr"))
    assert "Nobody pays anybody." in page.words
    assert "Nobody competes, so γ has no effect." in page.words
    assert "transfers" not in page.tables


def test_a_method_without_redistribution_says_so(three):
    page = page_of(three, tradefl.solve(three, method="wpr"))
    assert "The method wpr pays no redistribution" in page.words
    assert "Nobody pays anybody." in page.words


def test_the_rule_in_force_is_the_one_in_words(three):
    linear = page_of(three).words
    designed = three.designed(design(three.game, random_starts=0).rule)
    efficient = page_of(designed).words
    for words in (
        "the one that contributes less pays the one",
        "So they can be paid with one price",
    ):
        assert words in linear
        assert words not in efficient
    for words in (
        "everybody is paid what its data is worth to the others, as far as",
        "φᵢ takes the place",
    ):
        assert words in efficient
    assert "This rule pays for data alone" in efficient
    assert "This rule pays for data alone" not in linear


def test_a_consortium_of_one(tmp_path):
    described = document({"organization": [organization("Alpha")], "competition": {"default": 0.0}})
    consortium = tradefl.load(save(tmp_path, described))
    page = page_of(consortium, tuning=tune(consortium.game, method="dbr"))
    assert "1 organization trains one model" in page.words
    assert len(page.tables["payoffs"]) == 3


# --- large consortia -----------------------------------------------------------------------------


def test_of_many_some_are_shown_and_all_are_counted(tmp_path):
    consortium = many(tmp_path)
    solution = tradefl.solve(consortium)
    page = page_of(consortium, solution)
    who = frames.chosen(solution)
    assert 3 <= len(who) <= frames.SHOWN_ORGANIZATIONS
    received = solution.terms.redistribution
    assert {int(received.argmax()), int(received.argmin()), int(solution.payoffs.argmin())} <= {
        *who
    }
    _, *rows, footer = page.tables["payoffs"]
    assert [row[0] for row in rows] == [consortium.names[i] for i in who]
    assert number(footer[5]) == pytest.approx(solution.social_welfare, rel=1e-6)
    assert footer[0] == "all 60"
    assert number(page.tables["spread"][5][1]) == pytest.approx(solution.payoffs.min(), rel=1e-4)
    assert "sector-transfers" in page.tables
    assert len(page.tables["transfers"]) <= 1 + frames.SHOWN_PAYMENTS
    statements = [name for name in page.tables if name.endswith("-lines")]
    assert 1 <= len(statements) <= 3
    for name in statements:
        assert len(page.tables[name]) < 60
        *rows, footer = page.tables[name][1:]
        kept = [number(row[3]) for row in rows if not row[0].endswith(", all lines")]
        assert sum(kept) == pytest.approx(number(footer[3]), abs=1e-4)
    assert "tradefl explain prints that of any other" in page.words


def test_beyond_the_limit_of_pairs_the_report_still_stands(tmp_path):
    consortium = many(
        tmp_path,
        MAX_TRANSFERS_ORGANIZATIONS + 1,
        competition={"within_sector": 1e-4, "across_sectors": 2e-5},
    )
    solution = tradefl.solve(consortium)
    text = report(consortium, solution)
    page = Page(text)
    assert "the pairs are too many to list" in page.words
    assert len(text) < 1_000_000
    assert not page.unbalanced


# --- what has happened since ---------------------------------------------------------------------


def write(folder, content):
    path = folder / "document.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def trained(of, **changes):
    return {
        "schema": "tradefl/training/1",
        "consortium": of.name,
        "engine": "flower",
        "scheme": "dbr",
        "rounds": 2,
        "model": "logistic",
        "data": "digits",
        "initial_accuracy": 0.125,
        "initial_loss": 2.5,
        "accuracy": [0.5, 0.75],
        "loss": [None, 1.25],
        "organizations": [
            {
                "name": name,
                "samples_held": 100,
                "samples_used": 50,
                "rounds_asked": 2,
                "rounds_present": 1,
                "pledged_fraction": 0.5,
                "measured_fraction": 0.25,
                "cpu_hz": 1e9,
            }
            for name in of.names
        ],
        "notices": ["a notice of the training"],
        "runtime_seconds": 1.5,
        **changes,
    }


def settled(of, **changes):
    solution = tradefl.solve(of)
    return {
        "schema": "tradefl/settlement/1",
        "consortium": of.name,
        "chain_id": 1337,
        "contract": "0x" + "1" * 40,
        "agreement_hash": "0x" + "2" * 64,
        "phase": "settled",
        "organizations": [
            {
                "name": name,
                "address": "0x" + "3" * 40,
                "data_ppb": 500_000_000,
                "cpu_hz": "1000000000",
                "bond_wei": "7",
                "deposit_wei": "123456789012345678901",
                "redistribution_wei": str(round(amount * 10**15)),
                "withdrawn_wei": "9",
            }
            for name, amount in zip(of.names, solution.terms.redistribution.tolist(), strict=True)
        ],
        "transactions": [
            {"call": "deployment", "organization": None, "hash": "0xabc", "gas": 12, "block": 1},
            {"call": "join", "organization": "Beta", "hash": "0xdef", "gas": 30, "block": 2},
        ],
        "gas_used": 42,
        "audit": {"agrees": True, "checks": 55, "differences": []},
        **changes,
    }


def test_the_training_is_shown_by_round_and_by_organization(three, tmp_path):
    training = read_training(write(tmp_path, trained(three)), three)
    page = page_of(three, training=training)
    assert page.tables["rounds"][1:] == [
        ["0", "0.125", "2.5"],
        ["1", "0.5", "not a number"],
        ["2", "0.75", "1.25"],
    ]
    assert page.tables["trained"][1] == [
        "Alpha", "0.500000", "0.250000", "50 of 100", "1 of 2", "1 GHz",
    ]  # fmt: skip
    assert "75.0%" in page.words
    assert "a notice of the training" in page.words


def test_the_settlement_is_shown_in_wei_and_in_payoff(three, tmp_path):
    settlement = read_settlement(write(tmp_path, settled(three)), three)
    page = page_of(three, settlement=settlement)
    _, *rows, footer = page.tables["settled"]
    amounts = tradefl.solve(three).terms.redistribution
    for row, amount in zip(rows, amounts, strict=True):
        assert row[2] == "123,456,789,012,345,678,901"
        assert number(row[4]) == pytest.approx(amount, rel=1e-5)
        assert row[4] == row[5]
    assert footer[2] == f"{3 * 123456789012345678901:,}"
    assert page.tables["receipts"][-1] == ["sum", "", "", "", "42"]
    assert "agrees with the chain in all of 55 checks" in page.words


def test_an_audit_that_does_not_agree_is_told(three, tmp_path):
    audit = {"agrees": False, "checks": 55, "differences": ["Alpha was paid twice"]}
    settlement = read_settlement(write(tmp_path, settled(three, audit=audit)), three)
    page = page_of(three, settlement=settlement)
    assert "does not agree with the chain: 1 difference." in page.words
    assert "Alpha was paid twice" in page.words


@pytest.mark.parametrize(
    ("read", "valid", "changes", "place", "what"),
    [
        (read_training, trained, {"schema": "tradefl/solution/1"}, "schema", "training/1"),
        (read_training, trained, {"consortium": "four"}, "consortium", "expected 'three'"),
        (read_training, trained, {"organizations": []}, "organizations", "expected 3 of them"),
        (read_training, trained, {"accuracy": [0.5]}, "accuracy", "each of 2 rounds"),
        (read_training, trained, {"accuracy": ["x", 1.0]}, "accuracy[0]", "a number"),
        (read_training, trained, {"rounds": -1}, "rounds", ">= 0"),
        (read_settlement, settled, {"schema": "tradefl/training/1"}, "schema", "settlement/1"),
        (read_settlement, settled, {"consortium": "four"}, "consortium", "expected 'three'"),
        (read_settlement, settled, {"gas_used": "42"}, "gas_used", "a whole number"),
        (read_settlement, settled, {"audit": None}, "audit", "expected"),
    ],
)
def test_a_document_of_something_else_is_refused(
    three, tmp_path, read, valid, changes, place, what
):
    path = write(tmp_path, valid(three, **changes))
    with pytest.raises(InputError) as caught:
        read(path, three)
    [problem] = caught.value.problems
    assert problem.place == f"{path}: {place}"
    assert what in problem.message


@pytest.mark.parametrize("content", ["[]", "3", "{}"])
@pytest.mark.parametrize("read", [read_training, read_settlement])
def test_what_is_no_document_is_refused(three, tmp_path, read, content):
    path = write(tmp_path, content)
    with pytest.raises(InputError) as caught:
        read(path, three)
    assert str(caught.value.problems[0].place).startswith(str(path))


def test_an_amount_that_is_no_number_is_refused(three, tmp_path):
    content = settled(three)
    content["organizations"][1]["deposit_wei"] = "<b>"
    path = write(tmp_path, content)
    with pytest.raises(InputError) as caught:
        read_settlement(path, three)
    [problem] = caught.value.problems
    assert problem.place == f"{path}: organizations[1].deposit_wei"


# --- how numbers look ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (36e9, "36 Gbit"),
        (1.0, "1 bit"),
        (0.5, "0.5 bit"),
        (999_999.6, "1 Mbit"),
        (0.0, "0 bit"),
        (5e20, "500 Ebit"),
        (5e24, "5e+06 Ebit"),
    ],
)
def test_quantities_are_short(value, text):
    assert quantity(value, "bit") == text


def test_words():
    assert (counted(1, "pair"), counted(1000, "pair")) == ("1 pair", "1,000 pairs")
    assert (listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])) == (
        "a", "a and b", "a, b and c",
    )  # fmt: skip
    assert (signed(1.5, 1), signed(-1.5, 1), signed(0.0, 1), signed(-1e-9, 1)) == (
        "+1.5", "-1.5", "0.0", "0.0",
    )  # fmt: skip


def test_omega_is_that_of_the_statements():
    """To the last digit: the sum of the printed d u, not of the doubles behind them."""
    apart = 0
    for seed in range(12):
        game = random_game(seed, 4, accuracy="power-law")
        solution = tradefl.solve(game)
        [facts] = [
            block
            for block in contributions_section(solution, range(4)).blocks
            if isinstance(block, Facts)
        ]
        values = {fact.name: fact.value for fact in facts.facts}
        stated = {symbol: value for symbol, _, value in solution.statement(0).quantities}
        assert values["data in the training, Omega"] == printed(stated["Omega"])
        apart += game.omega(solution.profile) != stated["Omega"]
    assert apart > 0
