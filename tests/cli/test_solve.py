"""``tradefl solve``: the solution document, the table, the trace, the exit codes."""

import csv
import io
import itertools
import math
import os
import stat

import pytest
from tests.cli.command import assert_refused, run, strict_json
from tests.cli.test_check import rows_of
from tests.consortium.documents import (
    COLUMNS,
    EMPIRICAL,
    FILE,
    NAMES,
    POINTS,
    POWER_LAW,
    document,
    organization,
    save,
    with_table,
)

import tradefl

# docs/reference/json.md, "tradefl/solution/1".
SOLUTION = {
    "schema": str,
    "consortium": str,
    "method": str,
    "status": str,
    "iterations": int,
    "runtime_seconds": float,
    "potential": float,
    "upper_bound": (float, type(None)),
    "social_welfare": float,
    "performance": float,
    "total_data_fraction": float,
    "max_regret": float,
    "budget_imbalance": float,
    "individually_rational": bool,
    "organizations": list,
    "transfers": (list, type(None)),
}
ORGANIZATION = {
    "name": str,
    **dict.fromkeys(
        [
            "data_fraction",
            "cpu_hz",
            "contribution_bits",
            "revenue",
            "overhead",
            "damage",
            "redistribution",
            "payoff",
            "regret",
        ],
        float,
    ),
}
TRANSFER = {"from": str, "to": str, "amount": float}


def assert_typed(found, expected):
    """Every documented key is there with its type; more may be added."""
    assert set(expected) <= set(found)
    for key, kind in expected.items():
        assert isinstance(found[key], kind), (key, found[key])
        if kind is not bool:
            assert not isinstance(found[key], bool), key


def assert_solution(found, names):
    """Check types, and all that the document says of itself."""
    assert_typed(found, SOLUTION)
    assert found["schema"] == "tradefl/solution/1"
    assert found["status"] in (
        "optimal",
        "equilibrium",
        "feasible",
        "iteration_limit",
        "infeasible",
    )
    organizations = found["organizations"]
    assert [entry["name"] for entry in organizations] == list(names)
    for entry in organizations:
        assert_typed(entry, ORGANIZATION)
        size = sum(abs(entry[key]) for key in ("revenue", "overhead", "damage", "redistribution"))
        payoff = entry["revenue"] - entry["overhead"] - entry["damage"] + entry["redistribution"]
        assert entry["payoff"] == pytest.approx(payoff, abs=1e-12 * size)
        assert entry["regret"] >= 0.0
    total = {
        key: math.fsum(entry[key] for entry in organizations)
        for key in ("revenue", "overhead", "payoff", "data_fraction", "redistribution")
    }
    rounding = 1e-12 * (total["revenue"] + total["overhead"])
    assert found["social_welfare"] == pytest.approx(total["payoff"], abs=rounding)
    assert found["total_data_fraction"] == pytest.approx(total["data_fraction"], rel=1e-12)
    assert found["max_regret"] == max(entry["regret"] for entry in organizations)
    assert found["budget_imbalance"] == pytest.approx(abs(total["redistribution"]), abs=rounding)
    assert found["budget_imbalance"] <= rounding
    rational = all(entry["payoff"] >= 0.0 for entry in organizations)
    assert found["individually_rational"] == rational
    if found["transfers"] is None:
        assert len(names) > 1000
        return
    received = dict.fromkeys(names, 0.0)
    pairs = set()
    for transfer in found["transfers"]:
        assert_typed(transfer, TRANSFER)
        assert transfer["amount"] > 0.0
        assert transfer["from"] != transfer["to"]
        pairs.add(frozenset((transfer["from"], transfer["to"])))
        received[transfer["from"]] -= transfer["amount"]
        received[transfer["to"]] += transfer["amount"]
    assert len(pairs) == len(found["transfers"])
    for entry in organizations:
        assert received[entry["name"]] == pytest.approx(entry["redistribution"], abs=rounding)


def without_time(found):
    return {key: value for key, value in found.items() if key != "runtime_seconds"}


# --- the document -------------------------------------------------------------------------------


@pytest.mark.parametrize("accuracy", [None, POWER_LAW, EMPIRICAL], ids=["sqrt", "power", "points"])
@pytest.mark.parametrize("method", ["dbr", "wpr"])
def test_json_is_one_document_of_the_documented_shape(tmp_path, method, accuracy):
    path = save(tmp_path, document({"accuracy": accuracy} if accuracy else {}), points=POINTS)
    ran = run("solve", path, "--method", method, "--json")
    assert (ran.code, ran.err) == (0, "")
    found = ran.json
    assert_solution(found, NAMES)
    assert (found["consortium"], found["method"]) == ("three", method)
    assert found["status"] == "equilibrium"
    assert found["max_regret"] <= 1e-6
    assert found["runtime_seconds"] >= 0.0
    if method == "wpr":
        assert [entry["redistribution"] for entry in found["organizations"]] == [0.0] * 3
        assert found["transfers"] == []
    else:
        assert len(found["transfers"]) == 2  # Alpha and Gamma do not compete


def test_json_numbers_are_the_solution_to_the_last_bit(tmp_path):
    path = save(tmp_path, document())
    found = run("solve", path, "-m", "dbr", "--json").json
    solution = tradefl.solve(tradefl.load(path), "dbr")
    columns = {
        "data_fraction": solution.profile.data_fraction,
        "cpu_hz": solution.profile.cpu_hz,
        "payoff": solution.payoffs,
        "damage": solution.terms.damage,
        "regret": solution.certificate.regret,
    }
    for key, column in columns.items():
        assert [entry[key] for entry in found["organizations"]] == column.tolist()
    assert found["potential"] == solution.potential
    assert found["social_welfare"] == solution.social_welfare
    bits = [
        d * s for d, s in zip(solution.profile.data_fraction, [2.0e10, 2.1e10, 2.2e10], strict=True)
    ]
    assert [entry["contribution_bits"] for entry in found["organizations"]] == bits


def test_names_survive_json(tmp_path):
    names = ['quote " and \\', "comma, semicolon;", "Ünï—中文😀"]
    changes = {f"organization.{k}.name": name for k, name in enumerate(names)}
    competition = {"pairs": [[names[0], names[1], 0.1], [names[2], names[1], 0.1]]}
    ran = run("solve", save(tmp_path, document({**changes, "competition": competition})), "--json")
    assert_solution(ran.json, names)
    assert len(ran.json["transfers"]) == 2


def test_output_is_the_same_document_whether_or_not_it_is_printed(tmp_path):
    path, output = save(tmp_path, document()), tmp_path / "solution.json"
    printed = run("solve", path, "--json", "--output", output)
    assert printed.code == 0
    assert output.read_text() == printed.out
    table = run("solve", path, "-o", output)
    assert table.code == 0
    assert table.out.startswith("three: 3 organizations")
    assert without_time(strict_json(output.read_text())) == without_time(printed.json)
    assert sorted(tmp_path.iterdir()) == sorted([path, output])


@pytest.mark.parametrize("option", ["--output", "--trace"])
def test_where_the_output_cannot_be_written_nothing_is_printed(tmp_path, option):
    path = save(tmp_path, document())
    expected = {"no/x": "cannot be written: No such file or directory"}
    assert_refused(tmp_path, expected, "solve", path, "--json", option, tmp_path / "no" / "x")


@pytest.mark.parametrize("option", ["--output", "--trace"])
def test_a_device_or_pipe_is_written_to_or_refused_but_never_replaced(tmp_path, option):
    """As root, ``--output /dev/null`` must not turn /dev/null into a file."""
    path, pipe = save(tmp_path, document()), tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)  # so that a writer does not wait
    try:
        ran = run("solve", path, option, pipe)
        assert stat.S_ISFIFO(pipe.stat().st_mode)
        if ran.code == 0:
            assert os.read(reader, 10)
        else:
            assert (ran.code, ran.out) == (2, "")
            assert ran.err.startswith(f"error: {pipe}: ")
    finally:
        os.close(reader)


# --- the trace ----------------------------------------------------------------------------------


def read_trace(path):
    return list(csv.DictReader(io.StringIO(path.read_text())))


@pytest.mark.parametrize("method", ["dbr", "wpr"])
def test_the_trace_leads_to_the_solution(tmp_path, method):
    names = ["Alpha, Inc.", 'the "Beta"', "Gamma"]
    changes = {f"organization.{k}.name": name for k, name in enumerate(names)}
    competition = {"pairs": [[names[0], names[1], 0.1], [names[1], names[2], 0.2]]}
    path = save(tmp_path, document({**changes, "competition": competition}))
    trace = tmp_path / "trace.csv"
    found = run("solve", path, "--json", "--method", method, "--trace", trace).json
    rows = read_trace(trace)
    payoffs = [f"payoff {name}" for name in names]
    assert list(rows[0]) == [
        "move",
        "organization",
        "data_fraction",
        "cpu_hz",
        "potential",
        *payoffs,
    ]
    assert [row["move"] for row in rows] == [str(k) for k in range(found["iterations"] + 1)]
    assert found["iterations"] > 0

    # Row 0 is the start; then each row moves one organization.
    assert (rows[0]["organization"], rows[0]["data_fraction"], rows[0]["cpu_hz"]) == ("", "", "")
    profile = {
        entry["name"]: (0.01, entry["cpu_levels_hz"][-1])
        for entry in document({**changes})["organization"]
    }
    for row in rows[1:]:
        move = float(row["data_fraction"]), float(row["cpu_hz"])
        assert profile[row["organization"]] != move
        profile[row["organization"]] = move
    assert profile == {
        entry["name"]: (entry["data_fraction"], entry["cpu_hz"]) for entry in found["organizations"]
    }
    potential = [float(row["potential"]) for row in rows]
    assert all(before < after for before, after in itertools.pairwise(potential))
    assert potential[-1] == pytest.approx(found["potential"], rel=1e-12)
    for name, element in zip(payoffs, found["organizations"], strict=True):
        assert float(rows[-1][name]) == pytest.approx(element["payoff"], rel=1e-12)
    # Whoever moves gains by it.
    for before, after in itertools.pairwise(rows):
        mover = f"payoff {after['organization']}"
        assert float(after[mover]) > float(before[mover])


def contested(count=8):
    """A consortium in which several organizations move, whose order matters."""
    entries = [
        organization(f"O{k}", profitability=300.0 + 40.0 * k, cpu_levels_hz=[1e9, 2e9, 3e9, 4e9])
        for k in range(count)
    ]
    return document({"organization": entries, "competition": {"default": 0.02}})


def test_a_random_order_is_reproduced_by_its_seed(tmp_path):
    path = save(tmp_path, contested())
    traces, documents = {}, {}
    for label, seed in (("a", 7), ("b", 7), ("c", 8), ("d", 9)):
        trace = tmp_path / f"{label}.csv"
        ran = run(
            "solve",
            path,
            "--json",
            "-m",
            "dbr",
            "--order",
            "random",
            "--seed",
            seed,
            "--trace",
            trace,
        )
        assert ran.code == 0
        documents[label], traces[label] = without_time(ran.json), trace.read_text()
    assert documents["a"] == documents["b"]
    assert traces["a"] == traces["b"]
    # Other seeds are other orders.
    assert len(set(traces.values())) == 3
    for found in documents.values():
        assert found["status"] == "equilibrium"


def test_the_given_order_is_that_of_the_file(tmp_path):
    path, trace = save(tmp_path, contested()), tmp_path / "trace.csv"
    for arguments in ([], ["--order", "given"], ["--order", "given", "--seed", "3"]):
        assert run("solve", path, "-m", "dbr", "--trace", trace, *arguments).code == 0
        first = [row["organization"] for row in read_trace(trace)[1:9]]
        assert first == [f"O{k}" for k in range(8)]


# --- the table ----------------------------------------------------------------------------------


def test_the_table_shows_the_numbers_of_the_document(tmp_path):
    path = save(tmp_path, document())
    ran, found = run("solve", path), run("solve", path, "--json").json
    assert ran.code == 0, ran.err
    rows, total = rows_of(ran.out), sums_of(ran.out)
    assert [row[0] for row in rows] == list(NAMES)
    for row, entry in zip(rows, found["organizations"], strict=True):
        cells = [float(cell.replace(",", "")) for cell in row[1:-1]]
        assert row[-1] == entry["binds"]
        expected = [entry["data_fraction"], entry["cpu_hz"] / 1e9]
        expected += [entry[key] for key in ("revenue", "overhead", "damage", "redistribution")]
        expected += [entry["payoff"], entry["gain_over_alone"], entry["regret"]]
        assert cells == pytest.approx(expected, abs=1e-3)
    assert float(total[-3].replace(",", "")) == pytest.approx(found["social_welfare"], abs=1e-3)
    assert f"potential U            {found['potential']:.12g}" in ran.out
    assert "status                 optimal" in ran.out


def sums_of(out):
    line = next(line for line in out.splitlines() if line.strip().startswith("sum"))
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def test_a_long_table_is_cut_and_counted(tmp_path):
    entries = [organization(f"Org {k}") for k in range(45)]
    path = save(tmp_path, document({"organization": entries, "competition": {"default": 0.001}}))
    ran = run("solve", path)
    assert [row[0] for row in rows_of(ran.out)] == [f"Org {k}" for k in range(30)]
    assert "... and 15 more; --json has them all" in ran.out
    assert_solution(run("solve", path, "--json").json, [entry["name"] for entry in entries])


def save_many(folder, count):
    line = "1500,2e10,1500,2.0,1e9,1,1.5,s"
    rows = "".join(f"O{k},{line}{k // 4}\n" for k in range(count))
    table = ",".join([*COLUMNS, "sector"]) + "\n" + rows
    given = document({"competition": {"within_sector": 0.05}})
    return save(folder, with_table(given, "orgs.csv"), orgs=table)


def test_the_rows_left_out_of_a_very_long_table_are_counted_right(tmp_path):
    ran = run("solve", save_many(tmp_path, 10_040), "-m", "dbr", "--max-moves", 0)
    assert ran.code == 1
    assert ran.out.startswith("three: 10,040 organizations")
    assert len(rows_of(ran.out)) == 30
    assert "... and 10,010 more; --json has them all" in ran.out


def test_above_a_thousand_organizations_transfers_are_null_and_all_else_is_complete(tmp_path):
    ran = run("solve", save_many(tmp_path, 1001), "--json")
    assert ran.code == 0
    assert_solution(ran.json, [f"O{k}" for k in range(1001)])
    assert ran.json["transfers"] is None
    assert ran.json["status"] == "optimal"


def test_at_a_thousand_organizations_transfers_are_complete(tmp_path):
    ran = run("solve", save_many(tmp_path, 1000), "--json", "-m", "dbr", "--max-moves", 2)
    found = ran.json
    assert_solution(found, [f"O{k}" for k in range(1000)])
    assert found["transfers"]  # whoever moved differs from its three rivals


# --- exit codes ---------------------------------------------------------------------------------


def test_a_move_limit_that_does_not_suffice_is_exit_1(tmp_path):
    path = save(tmp_path, document())
    ran = run("solve", path, "-m", "dbr", "--max-moves", 0, "--json")
    assert ran.code == 1
    assert_solution(ran.json, NAMES)
    assert ran.json["status"] == "iteration_limit"
    assert ran.json["iterations"] == 0
    assert [entry["data_fraction"] for entry in ran.json["organizations"]] == [0.01] * 3
    assert ran.json["max_regret"] > 0.0
    assert "no equilibrium within 0 moves" in ran.err
    # One move less than it takes is too little; as many as it takes are enough.
    moves = run("solve", path, "-m", "dbr", "--json").json["iterations"]
    assert run("solve", path, "-m", "dbr", "--max-moves", moves - 1).code == 1
    assert run("solve", path, "-m", "dbr", "--max-moves", moves).code == 0


def test_strict_asks_for_individual_rationality(tmp_path):
    path = save(tmp_path, document())
    assert run("solve", path, "--strict").code == 0

    # Gamma uploads at a loss: 0.185 * 1e5 W * 1.5 s is far more than any revenue.
    path = save(tmp_path, document({"energy.upload_watts": 1e5}))
    found = run("solve", path, "--json")
    assert found.code == 0
    assert found.json["individually_rational"] is False
    strict = run("solve", path, "--strict", "--json")
    assert strict.code == 1
    assert without_time(strict.json) == without_time(found.json)
    assert "not individually rational" in strict.err
    assert "individually rational  no" in run("solve", path).out


def test_rescaling_is_noted_on_stderr(tmp_path):
    path = save(tmp_path, document({"competition": {"default": 0.9, "rescale": True}}))
    ran = run("solve", path, "--json")
    assert ran.code == 0
    assert f"multiplied rho by {tradefl.load(path).competition_factor:.6g}" in ran.err
    assert_solution(ran.json, NAMES)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--method", "magic"], "'magic' is not one of"),
        (["--order", "alphabetical"], "'alphabetical' is not one of"),
        (["--seed", "-1"], "-1 is not in the range"),
        (["--seed", "x"], "'x' is not a valid int"),
        (["--tolerance", "0"], "is not in the range"),
        (["--tolerance", "1"], "is not in the range"),
        (["-m", "dbr", "--max-moves", "-1"], "-1 is not in the range"),
        (["-m", "dbr", "--max-moves", "2.5"], "'2.5' is not a valid int"),
        (["--frobnicate"], "No such option"),
        (["another.toml"], "unexpected extra argument"),
    ],
)
def test_wrong_usage_is_exit_2(tmp_path, arguments, what):
    ran = run("solve", save(tmp_path, document()), *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert what in ran.words


@pytest.mark.parametrize("tolerance", ["nan", "inf", "-nan"])
def test_a_tolerance_that_is_no_number_is_exit_2(tmp_path, tolerance):
    ran = run("solve", save(tmp_path, document()), "--tolerance", tolerance)
    assert (ran.code, ran.out) == (2, "")
    assert "--tolerance" in ran.words


def test_a_looser_tolerance_ends_earlier(tmp_path):
    path = save(tmp_path, contested())
    loose = run("solve", path, "-m", "dbr", "--json", "--tolerance", "0.5").json
    assert loose["iterations"] < run("solve", path, "-m", "dbr", "--json").json["iterations"]


# --- one organization ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "competition",
    [
        None,
        {},
        {"default": 0.5},
        {"within_sector": 0.5},
        {"matrix_file": "rho.csv"},
        {"rescale": True},
    ],
    ids=["absent", "empty", "default", "sector", "matrix", "rescale"],
)
@pytest.mark.parametrize("method", ["dbr", "wpr"])
def test_one_organization_has_nobody_to_settle_with(tmp_path, competition, method):
    changes = {"organization": [organization("Solo", sector="s")], "competition": competition}
    given = document(changes)
    if competition is None:
        del given["competition"]
    path = save(tmp_path, given, rho="0\n")
    found = run("solve", path, "--json", "--method", method).json
    assert_solution(found, ["Solo"])
    (one,) = found["organizations"]
    assert (one["redistribution"], one["damage"], found["transfers"]) == (0.0, 0.0, [])
    assert found["status"] == "equilibrium"
    assert run("check", path).code == run("solve", path, "--strict").code == 0
    assert (tmp_path / FILE).exists()
