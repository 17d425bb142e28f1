"""``tradefl solve --method M`` for every method: documents, options, traces, remarks."""

import csv
import io

import pytest
from tests.cli.command import run
from tests.cli.test_solve import ORGANIZATION, SOLUTION, assert_solution, assert_typed
from tests.consortium.documents import (
    EMPIRICAL,
    NAMES,
    POINTS,
    POWER_LAW,
    document,
    organization,
    save,
)
from tests.golden.cases import EXAMPLES

import tradefl
from tradefl.solvers import METHODS, options_of

# Every option of `solve` that belongs to some methods only, with a value that is in range.
OPTIONS = {
    "order": "random",
    "seed": "3",
    "tolerance": "1e-6",
    "max_moves": "5000",
    "node_limit": "1000",
    "master": "traversal",
    "epsilon": "1e-6",
    "max_iterations": "500",
    "time_limit": "300",
    "step": "0.2",
    "greedy_hz": "3e9",
}


def flag(name):
    return f"--{name.replace('_', '-')}"


@pytest.mark.parametrize("accuracy", [None, POWER_LAW, EMPIRICAL], ids=["sqrt", "power", "points"])
@pytest.mark.parametrize("method", METHODS)
def test_json_is_one_document_of_the_documented_shape(tmp_path, method, accuracy):
    path = save(tmp_path, document({"accuracy": accuracy} if accuracy else {}), points=POINTS)
    ran = run("solve", path, "--method", method, "--json")
    found = ran.json
    assert ran.code == 0
    assert (found["consortium"], found["method"]) == ("three", method)
    if method == "tos":  # everything, late: still complete, and it says so
        assert_typed(found, SOLUTION)
        for entry in found["organizations"]:
            assert_typed(entry, ORGANIZATION)
            assert entry["data_fraction"] == 1.0
        assert found["status"] in ("infeasible", "feasible", "equilibrium")
        return
    assert_solution(found, NAMES)
    if method in ("exact", "cgbd"):
        assert found["status"] == "optimal"
        assert 0.0 <= found["upper_bound"] - found["potential"] <= 1e-8
    elif method == "planner":
        assert found["status"] == "optimal"
        assert found["upper_bound"] is None
        gap = found["social_welfare_upper_bound"] - found["social_welfare"]
        assert 0.0 <= gap <= 1e-9 * abs(found["social_welfare_upper_bound"])
    else:
        assert found["status"] in ("equilibrium", "feasible")
        assert found["upper_bound"] is None
    if method != "planner":
        assert found["social_welfare_upper_bound"] is None
    if method == "wpr":
        assert {entry["redistribution"] for entry in found["organizations"]} == {0.0}
        assert found["transfers"] == []
    solution = tradefl.solve(tradefl.load(path), method)
    assert found["potential"] == solution.potential
    assert found["remarks"] == list(solution.remarks)


@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.glob("*.toml")))
@pytest.mark.parametrize("method", sorted(set(METHODS) - {"cgbd-as-printed"}))
def test_every_method_solves_every_example(method, example):
    ran = run("solve", EXAMPLES / example, "-m", method, "--json")
    assert ran.code in (0, 2)
    if ran.code == 2:  # a restriction that leaves nothing to play
        assert method in ("fip", "gca")
        assert ran.err.startswith("error: --")
    else:
        assert ran.json["method"] == method


def test_the_default_method_proves_the_optimum(tmp_path):
    found = run("solve", save(tmp_path, document()), "--json").json
    assert (found["method"], found["status"]) == ("exact", "optimal")


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("method", METHODS)
def test_an_option_is_taken_by_its_methods_and_refused_by_the_others(tmp_path, method, option):
    path = save(tmp_path, document())
    ran = run("solve", path, "-m", method, flag(option), OPTIONS[option], "--json")
    if option in options_of(method):
        assert ran.code == 0, ran.err
        assert ran.json["method"] == method
    else:
        assert (ran.code, ran.out) == (2, "")
        assert ran.err == f"error: {flag(option)}: is not an option of method {method}\n"


def test_every_option_that_is_refused_is_named_at_once(tmp_path):
    ran = run("solve", save(tmp_path, document()), "-m", "tos", "--seed", 1, "--master", "milp")
    assert (ran.code, ran.out) == (2, "")
    assert sorted(ran.err.splitlines()) == [
        "error: --master: is not an option of method tos",
        "error: --seed: is not an option of method tos",
    ]


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        (["-m", "cgbd", "--master", "slave"], "--master"),
        (["-m", "cgbd", "--epsilon", "0"], "--epsilon"),
        (["-m", "cgbd", "--epsilon", "nan"], "--epsilon"),
        (["-m", "cgbd", "--max-iterations", "0"], "--max-iterations"),
        (["-m", "exact", "--node-limit", "0"], "--node-limit"),
        (["-m", "fip", "--step", "0"], "--step"),
        (["-m", "fip", "--step", "1.5"], "--step"),
        (["-m", "fip", "--step", "nan"], "--step"),
        (["-m", "fip", "--step", "0.001"], "--step"),
        (["-m", "gca", "--greedy-hz", "0"], "--greedy-hz"),
        (["-m", "gca", "--greedy-hz", "inf"], "--greedy-hz"),
        (["-m", "gca", "--greedy-hz", "nan"], "--greedy-hz"),
        (["-m", "gca", "--greedy-hz", "1e30"], "--greedy-hz"),
    ],
)
def test_a_value_out_of_range_is_exit_2_and_names_the_option(tmp_path, arguments, place):
    ran = run("solve", save(tmp_path, document()), *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert place in ran.words
    assert "Traceback" not in ran.err


def test_too_many_combinations_are_exit_2(tmp_path):
    entries = [organization(f"O{k}", cpu_levels_hz=[1e9, 2e9, 3e9]) for k in range(30)]
    path = save(tmp_path, document({"organization": entries, "competition": {"default": 0.002}}))
    ran = run("solve", path, "-m", "cgbd", "--master", "traversal")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: --method: the traversal would enumerate")
    printed = run("solve", path, "-m", "cgbd-as-printed")
    assert (printed.code, printed.out) == (2, "")
    assert "would enumerate" in printed.err
    # It has no such option, and no milp to turn to.
    assert "--master" not in printed.err


@pytest.mark.parametrize("method", ["exact", "cgbd", "cgbd-as-printed"])
def test_the_trace_of_bounds(tmp_path, method):
    path, trace = save(tmp_path, document()), tmp_path / "trace.csv"
    ran = run("solve", path, "-m", method, "--trace", trace, "--json")
    assert ran.code == 0
    rows = list(csv.DictReader(io.StringIO(trace.read_text())))
    assert list(rows[0]) == ["iteration", "lower_bound", "upper_bound"]
    assert [row["iteration"] for row in rows] == [str(k) for k in range(1, len(rows) + 1)]
    assert float(rows[-1]["upper_bound"]) == pytest.approx(-ran.json["potential"], rel=1e-9)
    if method == "cgbd":
        assert len(rows) == ran.json["iterations"]
        assert -float(rows[-1]["lower_bound"]) == ran.json["upper_bound"]


@pytest.mark.parametrize("method", ["dbr", "wpr", "fip", "gca"])
def test_the_trace_of_moves(tmp_path, method):
    path, trace = save(tmp_path, document()), tmp_path / "trace.csv"
    ran = run("solve", path, "-m", method, "--trace", trace, "--json")
    rows = list(csv.DictReader(io.StringIO(trace.read_text())))
    assert len(rows) == ran.json["iterations"] + 1
    potential = [float(row["potential"]) for row in rows]
    assert potential == sorted(potential)
    assert potential[-1] == pytest.approx(ran.json["potential"], rel=1e-12)


def test_tos_keeps_no_trace(tmp_path):
    trace = tmp_path / "trace.csv"
    ran = run("solve", save(tmp_path, document()), "-m", "tos", "--trace", trace, "--json")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines()[-1] == "error: --trace: method tos keeps no trace"
    assert not trace.exists()


def test_remarks_go_to_stderr_and_into_the_document(tmp_path):
    path = save(tmp_path, document())
    ran = run("solve", path, "-m", "cgbd-as-printed", "--json")
    assert ran.json["remarks"]
    assert ran.err == "".join(f"note: {remark}\n" for remark in ran.json["remarks"])
    assert "erratum E5" in ran.err
    late = run("solve", save(tmp_path, document({"mechanism.deadline_seconds": 5.0})), "-m", "tos")
    assert "3 of 3 organizations break the deadline" in late.err
    assert "status                 infeasible" in late.out
    assert run("solve", path, "--json").err == ""


@pytest.mark.parametrize("method", ["dbr", "wpr", "fip", "gca"])
def test_a_limit_is_exit_1(tmp_path, method):
    ran = run("solve", save(tmp_path, document()), "-m", method, "--max-moves", 0, "--json")
    assert ran.code == 1
    assert ran.json["status"] == "iteration_limit"
    assert "a higher limit may help" in ran.err
