"""``[compensation]``: what is read, what is refused and where, and the way back to the file."""

import numpy as np
import pytest
from tests.cli.command import assert_refused, run
from tests.consortium.documents import NAMES, REMOVED, document, save

import tradefl
from tradefl.consortium import write

SCHEDULE = [[0.0, -10.0], [0.25, 0.0], [1.0, 15.0]]
COMPENSATION = {
    "target": "equal-gain",
    "pairs": [["Gamma", "Alpha", 2.5]],
    "constants": {"Alpha": 3.0, "Beta": 0, "Gamma": -3.0},
    "schedules": dict.fromkeys(NAMES, SCHEDULE),
}
EFFICIENT = {"mechanism.rule": "efficient", "compensation": COMPENSATION}


def refused(folder, changes, **expected):
    save(folder, document({**EFFICIENT, **changes}))
    problems = {f"consortium.toml: {place}": what for place, what in expected.items()}
    assert_refused(folder, problems)


def test_it_is_read(tmp_path):
    consortium = tradefl.load(save(tmp_path, document(EFFICIENT)))
    rule = consortium.efficient_rule
    assert consortium.game.rule is rule
    assert rule.name == "efficient"
    np.testing.assert_array_equal(rule.constants, [3.0, 0.0, -3.0])
    assert rule.extra == ((2, 0, 2.5),)
    for schedule in rule.schedules:
        np.testing.assert_array_equal(schedule.shares, [0.0, 0.25, 1.0])
        np.testing.assert_array_equal(schedule.values, [-10.0, 0.0, 15.0])


def test_the_rule_in_force_is_the_papers_unless_the_file_says_efficient(tmp_path):
    for rule in (REMOVED, "linear"):
        changes = {"mechanism.rule": "linear", "compensation": COMPENSATION}
        entries = document(changes)
        if rule is REMOVED:
            del entries["mechanism"]["rule"]
        consortium = tradefl.load(save(tmp_path, entries))
        assert consortium.game.rule.name == "linear"
        assert consortium.efficient_rule is not None
    assert tradefl.load(save(tmp_path, document())).efficient_rule is None


def test_target_and_pairs_may_be_left_out(tmp_path):
    changes = {**EFFICIENT, "compensation.target": REMOVED, "compensation.pairs": REMOVED}
    consortium = tradefl.load(save(tmp_path, document(changes)))
    assert consortium.efficient_rule.extra == ()
    assert consortium.compensation.target is None


@pytest.mark.parametrize("changes", [{}, {"mechanism.rule": "linear"}, {"compensation.pairs": []}])
def test_what_is_written_is_read_again(tmp_path, changes):
    consortium = tradefl.load(save(tmp_path, document({**EFFICIENT, **changes})))
    write(consortium, tmp_path / "again.toml")
    again = tradefl.load(tmp_path / "again.toml")
    assert again == consortium
    write(again, tmp_path / "third.toml")
    assert (tmp_path / "third.toml").read_bytes() == (tmp_path / "again.toml").read_bytes()


def test_another_compensation_is_another_consortium(tmp_path):
    one = tradefl.load(save(tmp_path, document(EFFICIENT)))
    other = tradefl.load(save(tmp_path, document({**EFFICIENT, "compensation.target": "other"})))
    bare = tradefl.load(save(tmp_path, document()))
    assert one != other
    assert one != bare


def test_a_rule_goes_to_the_file_and_back(tmp_path):
    bare = tradefl.load(save(tmp_path, document()))
    rule = tradefl.load(save(tmp_path, document(EFFICIENT))).efficient_rule
    for target in (None, "least-cash"):
        designed = bare.designed(rule, target)
        assert designed.mechanism.rule == "efficient"
        assert designed.compensation.target == target
        write(designed, tmp_path / "designed.toml")
        again = tradefl.load(tmp_path / "designed.toml").efficient_rule
        assert again.schedules == rule.schedules
        np.testing.assert_array_equal(again.constants, rule.constants)
        assert again.extra == rule.extra


# --- what is refused ----------------------------------------------------------------------------


def test_efficient_without_the_section(tmp_path):
    save(tmp_path, document({"mechanism.rule": "efficient"}))
    assert_refused(
        tmp_path,
        {"consortium.toml: mechanism.rule": "'efficient' needs [compensation]; `tradefl design`"},
    )


def test_a_rule_that_there_is_not(tmp_path):
    refused(tmp_path, {"mechanism.rule": "fair"}, **{"mechanism.rule": "expected 'linear' or 'eff"})


def test_somebody_without_a_schedule_or_a_constant(tmp_path):
    refused(
        tmp_path,
        {"compensation.schedules.Beta": REMOVED, "compensation.constants.Gamma": REMOVED},
        **{
            "compensation.schedules": "'Beta' is missing",
            "compensation.constants": "'Gamma' is missing",
        },
    )


def test_a_name_that_there_is_not_with_the_one_that_was_meant(tmp_path):
    refused(
        tmp_path,
        {"compensation.schedules.Betta": SCHEDULE, "compensation.constants.Alfa": 1.0},
        **{
            "compensation.schedules.Betta": "no organization 'Betta' (did you mean 'Beta'?)",
            "compensation.constants.Alfa": "no organization 'Alfa' (did you mean 'Alpha'?)",
        },
    )


@pytest.mark.parametrize(
    ("points", "what"),
    [
        ([[0.0, 0.0], [0.5, 1.0], [1.0, 3.0]], "expected a concave schedule"),
        ([[0.0, 0.0], [1.0, -1.0]], "expected values that do not fall"),
        ([[0.0, 0.0]], "expected 2 to 32 breakpoints, got 1"),
        ([], "expected 2 to 32 breakpoints, got 0"),
        ([[0.1, 0.0], [1.0, 1.0]], "expected shares that ascend from 0 to 1"),
        ([[0.0, 0.0], [0.12345678901, 1.0], [1.0, 2.0]], "at most nine decimals"),
    ],
)
def test_what_is_no_schedule(tmp_path, points, what):
    refused(
        tmp_path,
        {"compensation.schedules.Beta": points},
        **{"compensation.schedules.Beta": what},
    )


@pytest.mark.parametrize(
    ("path", "value", "place", "what"),
    [
        ("schedules.Beta", [[0.0]], "schedules.Beta[0]", "a pair [share, payoff], got [0.0]"),
        ("schedules.Beta", [[0.0, 1.0, 2.0]], "schedules.Beta[0]", "a pair [share, payoff]"),
        ("schedules.Beta", [[0.0, "1"]], "schedules.Beta[0][1]", "expected a number, got '1'"),
        ("schedules.Beta", 3.0, "schedules.Beta", "expected a list, got 3.0"),
        ("schedules", 3.0, "schedules", "expected a table, got 3.0"),
        ("constants.Beta", "much", "constants.Beta", "expected a number, got 'much'"),
        ("constants.Beta", float("nan"), "constants.Beta", "expected a finite number"),
        ("schedules.Beta", [[0.0, 0.0], [1.0, float("inf")]], "schedules.Beta[1][1]", "finite"),
        ("constants", REMOVED, "constants", "is missing"),
        ("schedules", REMOVED, "schedules", "is missing"),
        ("targt", "equal-gain", "targt", "unknown key (did you mean 'target'?)"),
        ("target", "", "target", "must not be empty"),
    ],
)
def test_what_is_of_the_wrong_form(tmp_path, path, value, place, what):
    refused(tmp_path, {f"compensation.{path}": value}, **{f"compensation.{place}": what})


FORM = 'expected ["receiver", "payer", amount], got '


@pytest.mark.parametrize(
    ("pairs", "place", "what"),
    [
        ([["Alpha", "Beta"]], "pairs[0]", FORM),
        ([["Alpha", "Beta", "1"]], "pairs[0]", FORM),
        ([["Alpha", "Beta", True]], "pairs[0]", FORM),
        ([["Alpha", "Beta", float("inf")]], "pairs[0]", FORM),
        ([["Alpha", "Beta", float("nan")]], "pairs[0]", FORM),
        ([["Alpha", 2, 1.0]], "pairs[0]", FORM),
        (["Alpha"], "pairs[0]", FORM),
        ([["Alpha", "Betta", 1.0]], "pairs[0]", "no organization 'Betta' (did you mean 'Beta'?)"),
        ([["Alpha", "Alpha", 1.0]], "pairs[0]", "nobody pays itself"),
        (
            [["Alpha", "Beta", 1.0], ["Beta", "Alpha", 1.0]],
            "pairs[1]",
            "'Beta' and 'Alpha' occur twice",
        ),
        ("Alpha", "pairs", "expected a list"),
    ],
)
def test_what_is_no_pair(tmp_path, pairs, place, what):
    refused(tmp_path, {"compensation.pairs": pairs}, **{f"compensation.{place}": what})


def test_one_organization_cannot_be_under_the_efficient_rule(tmp_path):
    entries = document(
        {
            **EFFICIENT,
            "competition": {},
            "compensation.pairs": [],
            "compensation.constants": {"Alpha": 0.0},
            "compensation.schedules": {"Alpha": SCHEDULE},
        }
    )
    entries["organization"] = entries["organization"][:1]
    save(tmp_path, entries)
    assert_refused(
        tmp_path,
        {"consortium.toml: organization": "expected at least two organizations for the efficient"},
    )


def test_problems_are_told_along_with_those_of_other_sections(tmp_path):
    refused(
        tmp_path,
        {"compensation.constants.Beta": REMOVED, "energy.capacitance": -1.0},
        **{
            "compensation.constants": "'Beta' is missing",
            "energy.capacitance": "expected a number >= 0",
        },
    )


def test_a_bad_section_is_refused_where_the_rule_is_linear_too(tmp_path):
    refused(
        tmp_path,
        {"mechanism.rule": "linear", "compensation.schedules.Beta": [[0.0, 0.0]]},
        **{"compensation.schedules.Beta": "breakpoints, got 1"},
    )


def test_what_is_no_table(tmp_path):
    refused(tmp_path, {"compensation": 3}, compensation="expected a table, got 3")


def test_check_reads_it(tmp_path):
    path = save(tmp_path, document(EFFICIENT))
    assert run("check", path).code == 0


@pytest.mark.parametrize("rule", ["linear", "efficient"])
@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        ("constants.Alpha", 1e20, "constants.Alpha"),
        ("constants.Beta", -1e20, "constants.Beta"),
        ("pairs", [["Gamma", "Alpha", 1e20]], "pairs[0]"),
    ],
)
def test_constants_that_payoffs_would_drown_in(tmp_path, rule, path, value, place):
    what = "a million times all revenue, overhead and damage together, got "
    changes = {f"compensation.{path}": value, "mechanism.rule": rule}
    refused(tmp_path, changes, **{f"compensation.{place}": what})
