"""Every way in which the TOML file itself can be wrong: the place, what was expected, exit 2."""

import difflib
import sys

import pytest
from tests.cli.command import assert_refused, run
from tests.consortium.documents import (
    EMPIRICAL,
    FILE,
    NAMES,
    POWER_LAW,
    REMOVED,
    document,
    organization,
    save,
)

from tradefl.consortium import load
from tradefl.errors import InputError

NAN, INF = float("nan"), float("inf")
ADDRESS = "0x" + "aB" * 20


# --- the file as a whole ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "what"),
    [
        pytest.param(None, "no such file", id="missing"),
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b" \n\t\n", "is empty", id="blank"),
        pytest.param(b"\xff\xfe\x00n", "expected UTF-8 text", id="utf-16"),
        pytest.param("name = 'Zürich'".encode("latin-1"), "expected UTF-8 text", id="latin-1"),
        pytest.param(b"\x7fELF\x02\x01\x01\x00\x00", "expected UTF-8 text", id="binary"),
    ],
)
def test_the_file_cannot_be_read_as_text(tmp_path, content, what):
    if content is not None:
        (tmp_path / FILE).write_bytes(content)
    assert_refused(tmp_path, {FILE: what})


def test_the_file_is_a_directory(tmp_path):
    (tmp_path / FILE).mkdir()
    assert_refused(tmp_path, {FILE: "is a directory, expected a file"})


def test_the_folder_is_missing(tmp_path):
    place = f"no/such/{FILE}"
    assert_refused(tmp_path, {place: "no such file"}, "solve", tmp_path / place)


@pytest.mark.parametrize(
    ("content", "where"),
    [
        pytest.param("name = 'x'\n[mechanism\n", "at line 2, column 11", id="bracket"),
        pytest.param("name = 'x'\nname = 'y'\n", "at line 2, column 11", id="key-twice"),
        pytest.param("[energy]\nwatts = 1..2\n", "at line 2, column 10", id="number"),
        pytest.param("x = [1,", "at end of document", id="unclosed"),
    ],
)
def test_a_syntax_error_names_line_and_column(tmp_path, content, where):
    (tmp_path / FILE).write_text(content)
    ran = assert_refused(tmp_path, {FILE: "not valid TOML"})
    assert where in ran.err


def test_a_number_too_long_to_parse_is_no_traceback(tmp_path):
    (tmp_path / FILE).write_text(f"name = 'x'\nx = {'1' * 5000}\n")
    assert_refused(tmp_path, {FILE: "not valid TOML"})


@pytest.fixture
def default_recursion_limit():
    """Python's own: a library that other tests import raises it."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    yield
    sys.setrecursionlimit(limit)


@pytest.mark.usefixtures("default_recursion_limit")
def test_nesting_too_deep_to_parse_is_no_traceback(tmp_path):
    (tmp_path / FILE).write_text(f"name = 'x'\nx = {'[' * 5000}{']' * 5000}\n")
    assert_refused(tmp_path, {FILE: "not valid TOML"})


def test_a_byte_order_mark_is_no_error(tmp_path):
    path = save(tmp_path, document())
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load(path).name == "three"


def test_a_file_that_says_nothing_misses_every_section(tmp_path):
    (tmp_path / FILE).write_text("# nothing here\n")
    assert_refused(
        tmp_path,
        {
            f"{FILE}: name": "is missing",
            f"{FILE}: mechanism": "is missing",
            f"{FILE}: energy": "is missing",
            f"{FILE}: accuracy": "is missing",
            f"{FILE}: organization": "is missing; expected [[organization]] tables",
        },
    )


# --- keys and values ----------------------------------------------------------------------------

UNKNOWN_KEYS = {
    "mechanismus": (3, "mechanism"),
    "organisation": ([], "organization"),
    "mechanism.incentive_intensty": (1.0, "incentive_intensity"),
    "energy.capacitence": (1.0, "capacitance"),
    "accuracy.epoch": (1, "epochs"),
    "competition.rescaled": (True, "rescale"),
    "settlement.wei_per_pay": (1, "wei_per_payoff"),
    "organization.1.cpu_level_hz": ([1.0], "cpu_levels_hz"),
}


def in_brackets(path):
    """``organization.1.name`` as messages write it: ``organization[1].name``."""
    return "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in path.split("."))[1:]


@pytest.mark.parametrize("path", UNKNOWN_KEYS)
def test_an_unknown_key_is_named_with_the_one_that_was_meant(tmp_path, path):
    value, meant = UNKNOWN_KEYS[path]
    save(tmp_path, document({path: value}))
    what = f"unknown key (did you mean '{meant}'?)"
    assert_refused(tmp_path, {f"{FILE}: {in_brackets(path)}": what})


def test_an_unknown_key_like_no_other_gets_no_suggestion(tmp_path):
    save(tmp_path, document({"zzz": 1}))
    ran = assert_refused(tmp_path, {f"{FILE}: zzz": "unknown key"})
    assert "did you mean" not in ran.err


REQUIRED = [
    "name",
    "mechanism",
    "energy",
    "accuracy",
    "organization",
    "mechanism.incentive_intensity",
    "mechanism.compute_weight",
    "mechanism.overhead_weight",
    "mechanism.min_data_fraction",
    "mechanism.deadline_seconds",
    "energy.capacitance",
    "energy.download_watts",
    "energy.upload_watts",
    "accuracy.epochs",
    "accuracy.untrained_loss",
    "accuracy.measure",
    "accuracy.unit",
    *(f"organization.2.{key}" for key in organization("Gamma")),
]


@pytest.mark.parametrize("path", REQUIRED)
def test_a_missing_key_is_named(tmp_path, path):
    save(tmp_path, document({path: REMOVED}))
    assert_refused(tmp_path, {f"{FILE}: {in_brackets(path)}": "is missing"})


@pytest.mark.parametrize("key", ["untrained_loss", "scale", "exponent", "floor"])
def test_the_power_law_needs_its_own_keys(tmp_path, key):
    save(tmp_path, document({"accuracy": POWER_LAW, f"accuracy.{key}": REMOVED}))
    assert_refused(tmp_path, {f"{FILE}: accuracy.{key}": "is missing"})


def test_the_empirical_model_needs_its_points(tmp_path):
    save(tmp_path, document({"accuracy": EMPIRICAL, "accuracy.points_file": REMOVED}))
    assert_refused(tmp_path, {f"{FILE}: accuracy.points_file": "is missing"})


def test_another_models_keys_are_unknown(tmp_path):
    save(tmp_path, document({"accuracy": POWER_LAW, "accuracy.epochs": 5.0}))
    assert_refused(tmp_path, {f"{FILE}: accuracy.epochs": "unknown key"})


@pytest.mark.parametrize(
    ("value", "what"),
    [
        pytest.param("tanh", "got 'tanh'", id="unknown"),
        pytest.param(3, "got 3", id="number"),
        pytest.param(REMOVED, "missing", id="missing"),
    ],
)
def test_the_accuracy_models_are_listed(tmp_path, value, what):
    save(tmp_path, document({"accuracy.model": value}))
    ran = assert_refused(
        tmp_path,
        {f"{FILE}: accuracy.model": "expected one of 'sqrt-loss', 'power-law', 'empirical'"},
    )
    assert what in ran.err


# Numbers that must be > 0, and those that may be 0.
POSITIVE = [
    "mechanism.compute_weight",
    "mechanism.min_data_fraction",
    "mechanism.deadline_seconds",
    "accuracy.epochs",
    "accuracy.untrained_loss",
    "accuracy.unit",
    "organization.0.profitability",
    "organization.0.data_bits",
    "organization.0.cycles_per_bit",
    "organization.0.cpu_levels_hz.0",
]
NONNEGATIVE = [
    "mechanism.incentive_intensity",
    "mechanism.overhead_weight",
    "energy.capacitance",
    "energy.download_watts",
    "energy.upload_watts",
    "organization.0.download_seconds",
    "organization.0.upload_seconds",
    "competition.default",
]


@pytest.mark.parametrize("path", [*POSITIVE, *NONNEGATIVE])
@pytest.mark.parametrize(
    ("value", "what"),
    [
        ("12", "expected a number, got '12'"),
        (True, "expected a number, got true"),
        ([1.0], "expected a number, got [1.0]"),
        (NAN, "expected a finite number, got nan"),
        (INF, "expected a finite number, got inf"),
        (-INF, "expected a finite number, got -inf"),
        (-1.0, ", got -1.0"),
    ],
    ids=["text", "bool", "list", "nan", "inf", "-inf", "negative"],
)
def test_what_is_no_finite_number_in_range_is_named(tmp_path, path, value, what):
    if value == -1.0:
        what = f"expected a number {'>' if path in POSITIVE else '>='} 0{what}"
    save(tmp_path, document({path: value}))
    assert_refused(tmp_path, {f"{FILE}: {in_brackets(path)}": what})


@pytest.mark.parametrize("path", POSITIVE)
def test_zero_is_refused_where_it_has_no_meaning(tmp_path, path):
    save(tmp_path, document({path: 0.0}))
    assert_refused(tmp_path, {f"{FILE}: {in_brackets(path)}": "expected a number > 0, got 0.0"})


@pytest.mark.parametrize("path", NONNEGATIVE)
def test_zero_is_accepted_where_it_has_one(tmp_path, path):
    path = save(tmp_path, document({path: 0}))
    assert run("check", path).code == 0


@pytest.mark.parametrize(
    ("path", "value", "what"),
    [
        ("name", 3, "expected text, got 3"),
        ("name", "", "must not be empty"),
        ("name", " three ", "expected no spaces around it"),
        ("mechanism", 3, "expected a table, got 3"),
        ("energy", [], "expected a table, got []"),
        ("accuracy", "sqrt-loss", "expected a table, got 'sqrt-loss'"),
        ("competition", 0.1, "expected a table, got 0.1"),
        ("settlement", True, "expected a table, got true"),
        ("organization", 3, "expected [[organization]] tables, got 3"),
        ("organization", [], "expected [[organization]] tables, got []"),
        ("organization", organization("Alpha"), "expected [[organization]] tables, got a table"),
        ("organization.1", 3, "expected a table, got 3"),
        ("organization.1.name", 3, "expected text, got 3"),
        ("organization.1.name", "", "must not be empty"),
        ("organization.1.name", "Be\nta", "character 3 is U+000A (a control character)"),
        ("organization.1.name", "\x1b[31mBeta", "character 1 is U+001B"),
        ("organization.1.name", "Beta\x01", "character 5 is U+0001"),
        ("organization.1.name", "\x7f", "character 1 is U+007F"),
        ("organization.1.name", "Be\x85ta", "character 3 is U+0085"),
        ("organization.1.name", "Be\x9b31mta", "character 3 is U+009B"),
        ("organization.1.sector", "a\tb", "character 2 is U+0009"),
        ("organization.1.sector", 7, "expected text, got 7"),
        ("organization.1.samples", 1500.0, "expected a whole number, got 1500.0"),
        ("organization.1.samples", "1500", "expected a whole number, got '1500'"),
        ("organization.1.samples", True, "expected a whole number, got true"),
        ("organization.1.samples", NAN, "expected a whole number, got nan"),
        ("organization.1.samples", 0, "expected a number >= 1, got 0"),
        ("organization.1.samples", -5, "expected a number >= 1, got -5"),
        ("organization.1.samples", 2**53 + 1, "expected a number <= 9.0072e+15"),
        ("organization.1.cpu_levels_hz", [], "must not be empty, got []"),
        ("organization.1.cpu_levels_hz", 1e9, "expected a list, got 1000000000.0"),
        ("organization.1.cpu_levels_hz.1", "2e9", "expected a number, got '2e9'"),
        ("organization.1.address", "0x12", "expected an address: 0x and 40 hexadecimal digits"),
        ("organization.1.address", "1x" + "a" * 40, "expected an address"),
        ("organization.1.address", "0x" + "g" * 40, "expected an address"),
        ("organization.1.address", "0x" + "a" * 41, "expected an address"),
        ("organization.1.address", ADDRESS + "\n", "expected an address"),
        ("organization.1.address", 7, "expected text, got 7"),
        ("mechanism.min_data_fraction", 1.01, "expected a number <= 1, got 1.01"),
        ("accuracy.measure", "bytes", "expected 'bits' or 'samples', got 'bytes'"),
        ("competition.rescale", 1, "expected true or false, got 1"),
        ("competition.default", 1.5, "expected a number <= 1, got 1.5"),
        ("competition.pairs", "all", "expected a list, got 'all'"),
        ("competition.matrix_file", 3, "expected text, got 3"),
        ("settlement.wei_per_payoff", 1e15, "expected a whole number, got 1000000000000000.0"),
        ("settlement.wei_per_payoff", 0, "expected a number > 0, got 0"),
        ("settlement.verifier", "me", "expected an address"),
        ("settlement.arbiter", "me", "expected an address"),
        ("settlement.join_seconds", -1, "expected a number > 0, got -1"),
        ("settlement.turn_seconds", 86_401, "expected a number <= 86400, got 86401"),
        ("settlement.report_seconds", 0, "expected a number > 0, got 0"),
        ("settlement.dispute_seconds", 1.5, "expected a whole number, got 1.5"),
        ("settlement.ruling_seconds", "1 day", "expected a whole number, got '1 day'"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(tmp_path, path, value, what):
    save(tmp_path, document({"competition.pairs": [], path: value}))  # no pair names anybody
    assert_refused(tmp_path, {f"{FILE}: {in_brackets(path)}": what})


def test_a_long_value_is_shown_short(tmp_path):
    save(tmp_path, document({"mechanism.compute_weight": "x" * 100_000}))
    ran = assert_refused(tmp_path, {f"{FILE}: mechanism.compute_weight": "expected a number"})
    assert len(ran.err) < 400


# --- organizations ------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [[2e9, 1e9], [1e9, 1e9], [1e9, 3e9, 2e9]])
def test_levels_must_ascend(tmp_path, levels):
    save(tmp_path, document({"organization.1.cpu_levels_hz": levels}))
    place = f"{FILE}: organization 'Beta': cpu_levels_hz"
    assert_refused(tmp_path, {place: f"expected ascending frequencies, got {levels}"})


def test_duplicate_names(tmp_path):
    save(tmp_path, document({"organization.2.name": "Alpha", "competition": {}}))
    assert_refused(tmp_path, {f"{FILE}: organization": "name 'Alpha' occurs 2 times"})


def test_duplicate_addresses_in_whatever_case(tmp_path):
    twice = {"organization.0.address": ADDRESS, "organization.2.address": ADDRESS.lower()}
    save(tmp_path, document(twice))
    what = f"address '{ADDRESS.lower()}' occurs 2 times"
    assert_refused(tmp_path, {f"{FILE}: organization": what})


def test_organizations_inline_and_in_a_table_at_once(tmp_path):
    save(tmp_path, document({"organizations_file": "orgs.csv"}))
    assert_refused(
        tmp_path, {f"{FILE}: organizations_file": "cannot be combined with [[organization]]"}
    )


@pytest.mark.parametrize(
    ("value", "what"), [("", "expected a file name"), (3, "expected a file name, got 3")]
)
def test_the_organizations_file_is_no_name(tmp_path, value, what):
    save(tmp_path, document({"organizations_file": value, "organization": REMOVED}))
    assert_refused(tmp_path, {f"{FILE}: organizations_file": what})


def test_an_empty_organizations_file_beside_organizations_does_not_call_them_missing(tmp_path):
    save(tmp_path, document({"organizations_file": ""}))
    ran = run("check", tmp_path / FILE)
    assert (ran.code, ran.out) == (2, "")
    assert f"error: {tmp_path / FILE}: organizations_file: " in ran.err
    assert "organization: is missing" not in ran.err


# --- competition --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pair", "what"),
    [
        (["Alpha", "Delta", 0.1], "unknown organization 'Delta'"),
        (["Alpa", "Beta", 0.1], "unknown organization 'Alpa' (did you mean 'Alpha'?)"),
        (["Beta", "Beta", 0.1], "'Beta' cannot compete with itself"),
        (["Gamma", "Alpha", 0.2], "'Gamma' and 'Alpha' are listed twice"),
        (["Alpha", "Beta", 1.1], "expected an intensity in [0, 1], got 1.1"),
        (["Alpha", "Beta", -0.1], "expected an intensity in [0, 1], got -0.1"),
        (["Alpha", "Beta", NAN], "expected an intensity in [0, 1], got nan"),
        (["Alpha", "Beta", INF], "expected an intensity in [0, 1], got inf"),
        (["Alpha", "Beta"], "expected [\"name\", \"name\", intensity], got ['Alpha', 'Beta']"),
        (["Alpha", "Beta", 0.1, 0.2], 'expected ["name", "name", intensity]'),
        (["Alpha", 0.1, "Beta"], 'expected ["name", "name", intensity]'),
        (["Alpha", "Beta", "0.1"], 'expected ["name", "name", intensity]'),
        (["Alpha", "Beta", True], 'expected ["name", "name", intensity]'),
        ("Alpha-Beta", 'expected ["name", "name", intensity], got \'Alpha-Beta\''),
        ({"Alpha": "Beta"}, 'expected ["name", "name", intensity], got a table'),
        ([], 'expected ["name", "name", intensity], got []'),
    ],
)
def test_a_pair_that_is_none(tmp_path, pair, what):
    save(tmp_path, document({"competition": {"pairs": [["Alpha", "Gamma", 0.1], pair]}}))
    assert_refused(tmp_path, {f"{FILE}: competition.pairs[1]": what})


@pytest.mark.parametrize(
    ("competition", "place", "what"),
    [
        (
            {"default": 0.1, "within_sector": 0.1},
            "default",
            "cannot be combined with within_sector",
        ),
        ({"across_sectors": 0.1}, "within_sector", "is required with across_sectors"),
        ({"matrix_file": "m.csv", "pairs": []}, "pairs", "cannot be combined with matrix_file"),
        (
            {"matrix_file": "m.csv", "default": 0.1},
            "default",
            "cannot be combined with matrix_file",
        ),
        (
            {"matrix_file": "m.csv", "within_sector": 0.1},
            "within_sector",
            "cannot be combined with",
        ),
        ({"matrix_file": "m.csv"}, None, "no such file"),
    ],
)
def test_keys_of_the_competition_that_contradict_each_other(tmp_path, competition, place, what):
    save(tmp_path, document({"competition": competition}))
    where = "m.csv" if place is None else f"{FILE}: competition.{place}"
    assert_refused(tmp_path, {where: what})


def test_competition_by_sector_needs_every_sector(tmp_path):
    save(tmp_path, document({"competition": {"within_sector": 0.1}, "organization.0.sector": "a"}))
    what = "sector is missing, but competition is by sector"
    expected = {f"{FILE}: organization '{name}'": what for name in NAMES[1:]}
    assert_refused(tmp_path, expected)


def test_twenty_thousand_wrong_pairs_are_counted_not_searched(tmp_path, monkeypatch):
    # Searching 300 names for one alike, for each of the pairs, would take minutes.
    entries = [organization(f"Bank of Elsewhere, branch {k}") for k in range(300)]
    pairs = "".join(
        f'["Bank of Elsewhere, branch 0", "Bonk of Elsewhere, branch {k}", 0.1],\n'
        for k in range(20_000)
    )
    path = save(tmp_path, document({"competition": REMOVED, "organization": entries}))
    path.write_text(path.read_text() + f"[competition]\npairs = [\n{pairs}]\n")
    searched = []
    close = difflib.get_close_matches
    monkeypatch.setattr(
        difflib, "get_close_matches", lambda *a, **k: searched.append(a[0]) or close(*a, **k)
    )
    ran = run("check", path)
    lines = ran.err.splitlines()
    assert (ran.code, ran.out) == (2, "")
    assert lines[0] == (
        f"error: {path}: competition.pairs[0]: unknown organization "
        "'Bonk of Elsewhere, branch 0' (did you mean 'Bank of Elsewhere, branch 0'?)"
    )
    assert [f"competition.pairs[{k}]: " in line for k, line in enumerate(lines[:20])] == [True] * 20
    assert lines[20:] == ["error: ... and 19,980 more"]
    assert 1 <= len(searched) <= 100


# --- figures that are each in range, but not together -------------------------------------------


def test_a_weight_that_is_not_positive_names_the_organization_and_the_factor(tmp_path):
    # z_Beta = 1600 - 0.9 * 1500 - 0.5 * 1700 = -600: rho must shrink by 1600 / 2200.
    pairs = [["Alpha", "Beta", 0.9], ["Beta", "Gamma", 0.5]]
    save(tmp_path, document({"competition": {"pairs": pairs}}))
    ran = assert_refused(
        tmp_path, {f"{FILE}: organization 'Beta': competition": "= -600 must be > 0"}
    )
    factor = 1600 / 2200
    assert f"shrink to less than {factor:.6g} times its size" in ran.err

    # The named factor is the limit: just below it the file is sound, at it it is not.
    for share, code in ((0.999 * factor, 0), (1.001 * factor, 2)):
        shrunk = [[first, second, rho * share] for first, second, rho in pairs]
        path = save(tmp_path, document({"competition": {"pairs": shrunk}}))
        assert run("check", path).code == code


def test_a_weight_of_exactly_zero_is_refused(tmp_path):
    # Powers of two: 1024 - 0.5 * 2048 = 0 without rounding.
    changes = {
        "competition": {"pairs": [["Alpha", "Beta", 0.5]]},
        "organization.0.profitability": 1024.0,
        "organization.1.profitability": 2048.0,
    }
    save(tmp_path, document(changes))
    ran = assert_refused(
        tmp_path, {f"{FILE}: organization 'Alpha': competition": "= 0 must be > 0"}
    )
    assert "less than 1 times" in ran.err


@pytest.mark.parametrize(
    ("changes", "trains"),
    [
        ({"cycles_per_bit": 2000.0}, 17.5 * 2e9 / (2000.0 * 2.1e10)),
        ({"download_seconds": 30.0}, 0.0),
    ],
    ids=["slow", "late"],
)
def test_an_organization_without_a_feasible_level_is_named(tmp_path, changes, trains):
    changes = {f"organization.1.{key}": value for key, value in changes.items()}
    save(tmp_path, document(changes))
    ran = assert_refused(
        tmp_path, {f"{FILE}: organization 'Beta': cpu_levels_hz": "no feasible level"}
    )
    assert f"only {trains:.6g} of the data, below the minimum fraction 0.01" in ran.err


# --- together -----------------------------------------------------------------------------------


def test_errors_of_all_sections_are_reported_at_once(tmp_path):
    changes = {
        "colour": "blue",
        "name": REMOVED,
        "mechanism.compute_weight": -1.0,
        "mechanism.deadline_seconds": NAN,
        "energy": REMOVED,
        "accuracy.epochs": "five",
        "competition.rescale": "no",
        "settlement.verifier": "me",
        "organization.0.samples": 1.5,
        "organization.2.cpu_levels_hz": [],
    }
    save(tmp_path, document(changes))
    assert_refused(
        tmp_path,
        {
            f"{FILE}: colour": "unknown key",
            f"{FILE}: name": "is missing",
            f"{FILE}: mechanism.compute_weight": "expected a number > 0",
            f"{FILE}: mechanism.deadline_seconds": "expected a finite number",
            f"{FILE}: energy": "is missing",
            f"{FILE}: accuracy.epochs": "expected a number",
            f"{FILE}: competition.rescale": "expected true or false",
            f"{FILE}: settlement.verifier": "expected an address",
            f"{FILE}: organization[0].samples": "expected a whole number",
            f"{FILE}: organization[2].cpu_levels_hz": "must not be empty",
        },
    )


def test_errors_among_the_organizations_are_reported_at_once(tmp_path):
    changes = {
        "organization.1.name": "Alpha",
        "organization.2.cpu_levels_hz": [2.0, 1.0],
        "competition": {"pairs": [["Alpha", "Delta", 0.1], ["Gamma", "Gamma", 2.0]]},
    }
    save(tmp_path, document(changes))
    ran = run("check", tmp_path / FILE)
    assert ran.code == 2
    assert len(ran.err.splitlines()) == 5
    for what in (
        "organization: name 'Alpha' occurs 2 times",
        "organization 'Gamma': cpu_levels_hz: expected ascending frequencies",
        "competition.pairs[0]: unknown organization 'Delta'",
        "competition.pairs[1]: 'Gamma' cannot compete with itself",
        "competition.pairs[1]: expected an intensity in [0, 1], got 2.0",
    ):
        assert f"error: {tmp_path / FILE}: {what}" in ran.err


def test_weights_and_levels_are_reported_at_once(tmp_path):
    changes = {
        "competition": {"pairs": [["Alpha", "Beta", 1.0]]},
        "organization.2.cycles_per_bit": 2000.0,
    }
    save(tmp_path, document(changes))
    assert_refused(
        tmp_path,
        {
            f"{FILE}: organization 'Alpha': competition": "= -100 must be > 0",
            f"{FILE}: organization 'Gamma': cpu_levels_hz": "no feasible level",
        },
    )


def test_the_error_holds_all_problems_and_shows_twenty(tmp_path):
    entries = [organization(f"Org {k}", samples=-k) for k in range(45)]
    path = save(tmp_path, document({"organization": entries, "competition": {}}))
    with pytest.raises(InputError) as caught:
        load(path)
    error = caught.value
    assert [problem.place for problem in error.problems] == [
        f"{path}: organization[{k}].samples" for k in range(45)
    ]
    assert str(error).splitlines()[20:] == ["... and 25 more"]
    ran = run("check", path)
    assert ran.err.splitlines() == [f"error: {line}" for line in str(error).splitlines()]


@pytest.mark.parametrize("command", ["check", "solve", "explain"])
def test_every_command_refuses_alike(tmp_path, command):
    path = save(tmp_path, document({"energy.capacitance": -1}))
    expected = {f"{FILE}: energy.capacitance": "expected a number >= 0, got -1"}
    assert_refused(tmp_path, expected, command, path)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"accuracy.unit": 1e-308}, id="units overflow"),
        pytest.param(
            {f"organization.{k}.profitability": 1.7e308 for k in range(3)}, id="sums overflow"
        ),
    ],
)
def test_overflow_is_an_error_of_the_file_and_no_warning(tmp_path, changes):
    # pytest turns NumPy's warnings into errors, which would escape from run().
    path = save(tmp_path, document({**changes, "competition": {}}))
    ran = run("solve", path, "--json")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {path}: ")
    assert "nan" not in ran.err


@pytest.mark.parametrize(
    "accuracy",
    [
        pytest.param({**POWER_LAW, "scale": 2.0, "exponent": 0.001}, id="onset overflows"),
        pytest.param({**POWER_LAW, "exponent": 1e300}, id="huge exponent"),
        pytest.param(
            {"model": "sqrt-loss", "epochs": 1e300, "untrained_loss": 1e-200,
             "measure": "bits", "unit": 1e9},
            id="headroom underflows",
        ),
        pytest.param(
            {"model": "sqrt-loss", "epochs": 5e-324, "untrained_loss": 1e308,
             "measure": "bits", "unit": 1e9},
            id="tiny epochs",
        ),
    ],
)  # fmt: skip
def test_extreme_accuracy_figures_are_no_traceback(tmp_path, accuracy):
    path = save(tmp_path, document({"accuracy": accuracy}))
    for command in ("check", "solve"):
        ran = run(command, path, "--json")
        assert ran.code in (0, 2), ran
        if ran.code == 0:
            assert ran.json["consortium"] == "three"
        else:
            assert ran.err.startswith(f"error: {path}: accuracy")


@pytest.mark.parametrize(
    "changes",
    [
        {"energy.capacitance": 1e300},
        {"mechanism.incentive_intensity": 1e300},
        {"mechanism.compute_weight": 1e300},
        {"organization.0.cpu_levels_hz": [1e200]},
        {"accuracy.untrained_loss": 1e308},
    ],
    ids=lambda changes: next(iter(changes)),
)
@pytest.mark.parametrize("arguments", [["--json"], []], ids=["json", "table"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_payoffs_that_overflow_are_no_traceback_and_no_half_document(tmp_path, changes, arguments):
    ran = run("solve", save(tmp_path, document(changes)), *arguments)
    if ran.code == 0:
        assert not arguments or ran.json["schema"] == "tradefl/solution/1"
    else:
        assert (ran.code, ran.out) == (2, "")
        assert ran.err.startswith("error: ")
