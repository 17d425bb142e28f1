"""From business figures to a consortium: the figures recomputed by hand, and what is refused."""

# ruff: noqa: E501

import math
import tomllib

import numpy as np
import pytest
from tests.cli.command import run

import tradefl
from tradefl.elicitation import FIELDS, device, gpu, meaning_of, power_law_of
from tradefl.elicitation.gpus import DEVICES, FLOP_PER_BIT, UTILIZATION

BANKS = """\
Bank;Transaktionen pro Jahr;Datensätze verfügbar;KB je Datensatz;GPU-Typ;Anzahl GPU;Strom ct/kWh;\
Nutzen je Transaktion und Prozentpunkt €;Aufbereitung je Datensatz €;Einmalige Projektkosten T€
Bank am Fluß;12.500.000;900.000;2,5;NVIDIA A100-SXM4-80GB;2;24,5;0,021;0,0035;85
Kontor & Söhne;4.000.000;350.000;2,5;H100;1;31;0,034;0,002;40
Süd–Spar;8.250.000;1.200.000;1,75;l40s;4;19,5;0,018;0,001;120,5
"""
MARKETS = """\
Bank;Privat;Firmen;Ausland
Süd–Spar;51.000;1.200;10
Bank am Fluß;30.250;9.800;700
Kontor & Söhne;900;21.000;4.500
"""
DRUGS = """\
Company,Screenings per year,Number of compounds,MB per compound,GPU,Number of GPUs,\
Margin per screening USD,Uplift % per percentage point,Legal costs USD
Alder,5200,40000,1.5,V100,8,310.5,0.4,120000
Birch,9100,22000,1.5,T4,4,280,0.35,
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "banks.csv").write_text("\ufeff" + BANKS, encoding="utf-8")
    (tmp_path / "markets.csv").write_text(MARKETS, encoding="utf-8")
    (tmp_path / "drugs.csv").write_text(DRUGS, encoding="utf-8")
    return tmp_path


def elicited(folder, *arguments):
    ran = run("elicit", *arguments, "-o", folder / "out.toml", "-q")
    assert ran.code == 0, ran.err
    return tradefl.load(folder / "out.toml"), ran


@pytest.mark.parametrize("order", [("banks.csv", "markets.csv"), ("markets.csv", "banks.csv")])
def test_two_spreadsheets_become_a_consortium(folder, order):
    consortium, _ = elicited(folder, *(folder / name for name in order))
    who = consortium.organizations
    assert consortium.names == ("Bank am Fluß", "Kontor & Söhne", "Süd–Spar")
    assert (consortium.currency, consortium.payoff_unit) == ("EUR", 1000.0)
    # p = 100 x volume x benefit / 1000
    assert who.profitability == pytest.approx([26_250.0, 13_600.0, 14_850.0], rel=1e-12)
    assert who.samples.tolist() == [900_000, 350_000, 1_200_000]
    assert who.data_bits == pytest.approx([1.8e10, 7.0e9, 1.68e10], rel=1e-12)  # KB x 8,000 bit
    assert who.data_cost == pytest.approx([3.15, 0.7, 1.2], rel=1e-12)
    assert who.joining_cost == pytest.approx([85.0, 40.0, 120.5], rel=1e-12)  # T€
    # A joule costs the mean price; each machine is dearer or cheaper by its own price.
    price = (0.245 + 0.31 + 0.195) / 3.0
    assert consortium.mechanism.overhead_weight == pytest.approx(price / 3.6e6 / 1000.0)
    game, everything = consortium.game, np.ones(3)
    fastest = np.nanmax(game.cpu_levels_hz, axis=1)
    seconds = game.cycles_per_bit * game.data_bits / fastest
    profile = tradefl.game.StrategyProfile(everything, fastest)
    for i, (model, many, own) in enumerate(
        [("A100", 2, 0.245), ("H100", 1, 0.31), ("L40S", 4, 0.195)]
    ):
        one = device(model)
        passed = 10.0 * float(game.data_bits[i]) / (many * one.bits_per_second)
        assert seconds[i] == pytest.approx(passed)
        cost = own * many * one.watts * passed / 3.6e6  # EUR of electricity
        sent = price * 10.0 * 120.0 / 3.6e6
        overhead = tradefl.game.payoffs(game, profile).overhead[i] - who.data_cost[i]
        overhead -= who.joining_cost[i]
        assert overhead * 1000.0 == pytest.approx(cost + sent, rel=1e-6)  # a small difference


def test_rho_is_the_proposed_conduct_times_the_overlap(folder):
    consortium, ran = elicited(folder, folder / "banks.csv", folder / "markets.csv", "--json")
    # Of a table with points before three digits the other table tells what they are.
    rows = {
        "Bank am Fluß": [30250, 9800, 700],
        "Kontor & Söhne": [900, 21000, 4500],
        "Süd–Spar": [51000, 1200, 10],
    }
    values = np.array([rows[name] for name in consortium.names], dtype=float)
    np.testing.assert_array_equal(consortium.segments.values, values)
    size = np.sqrt((values**2).sum(axis=1))
    overlap = values @ values.T / np.outer(size, size)
    np.fill_diagonal(overlap, 0.0)
    p = consortium.organizations.profitability
    largest = min(1.0, float(np.min(p / (2.0 * overlap @ p))))
    conduct = consortium.competition.conduct
    assert largest * 0.99 <= conduct <= largest
    assert consortium.rho.dot(p) == pytest.approx(conduct * overlap @ p)
    assert np.all(consortium.game.potential_weights >= 0.5 * p)
    document = ran.json
    assert document["schema"] == "tradefl/elicitation/1"
    assert document["conduct"] == {"low": conduct / 2.0, "high": conduct, "chosen": conduct}
    assert "conduct" in {assumption["what"] for assumption in document["assumptions"]}
    assert [organization["name"] for organization in document["organizations"]] == list(
        consortium.names
    )


def test_a_report_follows_with_one_more_command(folder):
    elicited(folder, folder / "banks.csv", folder / "markets.csv")
    ran = run("report", folder / "out.toml", "-o", folder / "out.html", "--no-tune", "-q")
    assert ran.code == 0, ran.err
    assert "Kontor &amp; Söhne" in (folder / "out.html").read_text(encoding="utf-8")


def test_english_headings_margins_and_empty_cells(folder):
    consortium, ran = elicited(folder, folder / "drugs.csv", "--json")
    who = consortium.organizations
    assert consortium.currency == "USD"
    expected = [100 * 5200 * 310.5 * 0.004 / 1000, 100 * 9100 * 280 * 0.0035 / 1000]
    assert who.profitability == pytest.approx(expected, rel=1e-12)
    np.testing.assert_array_equal(who.joining_cost, [120.0, 0.0])
    assumed = {assumption["what"]: assumption["value"] for assumption in ran.json["assumptions"]}
    assert assumed["joining_cost"] == "0 where the cell is empty"
    assert assumed["electricity_per_kwh"] == "0.25"
    assert assumed["competition"] == "nobody competes, rho = 0"
    assert ran.json["conduct"] is None
    assert consortium.rho.row_sums().tolist() == [0.0, 0.0]


def test_the_file_says_how_each_figure_follows(folder):
    elicited(folder, folder / "banks.csv", folder / "markets.csv")
    text = (folder / "out.toml").read_text(encoding="utf-8")
    assert "# 100 x 12,500,000 cases x 0.021 / 1000" in text
    assert "#   conduct: " in text
    assert tomllib.loads(text)["competition"]["segments_file"] == "out.segments.csv"


def test_columns_can_be_mapped(folder):
    table = folder / "odd.csv"
    table.write_text(DRUGS.replace("Screenings per year", "Läufe"), encoding="utf-8")
    refused = run("elicit", table, "-o", folder / "out.toml")
    assert refused.code == 2
    assert "no column for cases_per_year" in refused.err
    assert "--map" in refused.err
    assert not (folder / "out.toml").exists()
    consortium, _ = elicited(folder, table, "--map", "Läufe=cases_per_year")
    assert consortium.organizations.profitability[0] == pytest.approx(645.84)


def test_choices_of_the_command_line_are_used(folder):
    consortium, _ = elicited(
        folder, folder / "banks.csv", folder / "markets.csv", "--conduct", "0.01", "--name",
        "two banks", "--payoff-unit", "1", "--accuracy", "1000=0.5", "--accuracy", "100000=90%",
    )  # fmt: skip
    assert consortium.competition.conduct == 0.01
    assert consortium.name == "two banks"
    assert consortium.organizations.profitability[0] == pytest.approx(26_250_000.0)
    assert consortium.accuracy_model.value(1.0) == pytest.approx(0.5)
    assert consortium.accuracy_model.value(100.0) == pytest.approx(0.9)


REFUSED = {
    "a missing column": (BANKS.replace("KB je Datensatz", "Farbe"), [], "no column for megabytes_per_sample"),
    "an empty cell": (BANKS.replace(";900.000;", ";;"), [], "line 2, Datensätze verfügbar: is empty"),
    "an unknown GPU": (BANKS.replace("H100", "H10O"), [], "unknown GPU 'H10O' (did you mean 'H100'?)"),
    "mixed currencies": (BANKS.replace("T€", "USD"), [], "mixes currencies: EUR"),
    "another currency": (BANKS, ["--currency", "USD"], "--currency: expected EUR, the currency of the headings, got USD"),
    "a currency that is none": (BANKS, ["--currency", "euro"], "--currency: expected a currency"),
    "a column twice": (BANKS.replace("Strom ct/kWh", "Nutzen je Fall und Prozentpunkt €"), [], "both mean benefit_per_case_and_point"),
    "p and what it follows from": (BANKS.replace("Strom ct/kWh", "Profitability"), [], "both profitability and what it follows from"),
    "p and a margin": (BANKS.replace("Strom ct/kWh", "Deckungsbeitrag je Fall €"), [], "both the benefit per case and point and margin"),
    "costs above revenue": (BANKS.replace(";120,5", ";120.500,0"), [], "organization 'Süd–Spar': would not join: its costs"),
    "a negative figure": (BANKS.replace(";85\n", ";-85\n"), [], "line 2, Einmalige Projektkosten T€: expected a number >= 0, got '-85'"),
    "no samples": (BANKS.replace(";900.000;", ";0;"), [], "expected a number > 0, got 0"),
    "half a sample": (BANKS.replace(";900.000;", ";900,5;"), [], "expected a whole number, got '900,5'"),
    "text for a number": (BANKS.replace(";0,021;", ";viel;"), [], "expected a number >= 0, got text of 4 characters"),
    "a name twice": (BANKS.replace("Kontor & Söhne", "Süd–Spar"), [], "'Süd–Spar' occurs twice"),
    "nobody": (BANKS.splitlines()[0] + "\n", [], "expected at least one organization"),
    "conduct of nothing": (BANKS, ["--conduct", "0"], "--conduct: expected a number in (0, 1], got 0.0"),
    "a unit of nothing": (BANKS, ["--payoff-unit", "0"], "--payoff-unit: expected a number > 0"),
    "one accuracy": (BANKS, ["--accuracy", "10=0.5"], "--accuracy: expected two points"),
    "falling accuracies": (BANKS, ["--accuracy", "10=0.5", "--accuracy", "20=0.4"], "--accuracy: expected two points"),
    "an accuracy of words": (BANKS, ["--accuracy", "a=b"], "--accuracy: expected SAMPLES=ACCURACY"),
    "a map of nothing": (BANKS, ["--map", "x"], "--map: expected COLUMN=FIELD"),
    "a map to nothing": (BANKS, ["--map", "Bank=nam"], "--map: unknown field 'nam' (did you mean 'name'?)"),
    "a map of no column": (BANKS, ["--map", "Banc=name"], "--map: "),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_figures_that_are_none_are_refused(folder, case):
    table, options, what = REFUSED[case]
    (folder / "banks.csv").write_text(table, encoding="utf-8")
    ran = run(
        "elicit", folder / "banks.csv", folder / "markets.csv", *options, "-o", folder / "out.toml"
    )
    assert ran.code == 2, ran.err
    assert what in ran.err, ran.err
    assert "Traceback" not in ran.err
    assert not (folder / "out.toml").exists()
    assert not (folder / "out.segments.csv").exists()


@pytest.mark.parametrize(
    ("table", "what"),
    [
        (MARKETS.replace("900;", "-900;"), "line 4, Privat: expected a number >= 0"),
        (MARKETS.replace("51.000;1.200;10", "0;0;0"), "'Süd–Spar' has no segment"),
        (MARKETS.replace("Kontor", "Kontoor"), "did you mean 'Kontor & Söhne'?"),
    ],
)
def test_markets_that_are_none_are_refused(folder, table, what):
    (folder / "markets.csv").write_text(table, encoding="utf-8")
    ran = run("elicit", folder / "banks.csv", folder / "markets.csv", "-o", folder / "out.toml")
    assert ran.code == 2
    assert what in ran.err
    assert not (folder / "out.toml").exists()


def test_a_table_of_something_else_is_refused_without_its_text(folder):
    (folder / "secret.csv").write_text("user,password\nroot,hunter2\n", encoding="utf-8")
    ran = run("elicit", folder / "secret.csv", "-o", folder / "out.toml")
    assert ran.code == 2
    assert "of its headings are known" in ran.err
    assert "hunter2" not in ran.err


def test_without_tables_and_without_a_terminal_there_is_nobody_to_ask(folder):
    ran = run("elicit", "-o", folder / "out.toml")
    assert ran.code == 2
    assert "expected a table of the organizations' figures" in ran.err


def test_the_known_headings_are_listed():
    ran = run("elicit", "--headings")
    assert ran.code == 0
    for field in FIELDS:
        assert all(text in ran.out for text in (field.name, *field.examples))


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_the_published_headings_mean_their_field(field):
    for heading in (*field.examples, field.name):
        assert meaning_of(heading).field is field


# --- machines -----------------------------------------------------------------------------------


def test_a_machine_draws_its_watts_and_keeps_its_pace():
    made = gpu(4e9, 400.0, 1.41e9, count=3, passes=5.0)
    bits, f = 1e12, made.cpu_levels_hz[-1]
    seconds = made.cycles_per_bit * bits / f
    assert seconds == pytest.approx(5.0 * bits / (3 * 4e9))
    joules = made.capacitance * f**2 * made.cycles_per_bit * bits
    assert joules == pytest.approx(3 * 400.0 * seconds)
    assert list(made.cpu_levels_hz) == sorted(made.cpu_levels_hz)
    assert all(f == round(f) for f in made.cpu_levels_hz)


@pytest.mark.parametrize("field", ["bits_per_second", "watts", "clock_hz", "count", "passes"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_machine_that_is_none_is_refused(field, value):
    figures = {"bits_per_second": 1e9, "watts": 1.0, "clock_hz": 1e9, "count": 1, "passes": 1.0}
    with pytest.raises(ValueError, match=f"^{field}: expected a finite number > 0"):
        gpu(**figures | {field: value})


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("A100", "A100"), ("nvidia a100-sxm4-80gb", "A100"), ("NVIDIA Tesla V100 PCIe 32 GB", "V100"),
        ("GeForce RTX 4090", "RTX 4090"), ("rtx4090", "RTX 4090"), ("L40S", "L40S"), ("L4", "L4"),
        ("AMD Instinct MI300X", "MI300X"),
    ],
)  # fmt: skip
def test_a_device_is_found_by_the_names_people_write(name, model):
    assert device(name).name == model


def test_throughput_follows_from_the_data_sheet():
    for known in DEVICES:
        assert known.bits_per_second == pytest.approx(
            known.teraflops * 1e12 * UTILIZATION / FLOP_PER_BIT
        )
    with pytest.raises(KeyError):
        device("abacus")


def test_two_published_accuracies_lie_on_the_curve():
    section = power_law_of([(50_000.0, 0.9), (5_000.0, 0.8)])
    for samples, accuracy in ((5_000.0, 0.8), (50_000.0, 0.9)):
        loss = section.scale * (samples / section.unit) ** -section.exponent + section.floor
        assert 1.0 - loss == pytest.approx(accuracy, rel=1e-9)


def test_one_bad_cell_is_one_error(folder):
    table = folder / "banks.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("900.000;", "viele;"), "utf-8")
    ran = run("elicit", table, folder / "markets.csv", "-o", folder / "out.toml")
    assert ran.code == 2
    (line,) = [line for line in ran.err.splitlines() if line.startswith("error:")]
    assert "'viele'" in line or "expected a number" in line
    assert "not looked at" not in ran.err
