"""``tradefl check``: z_i, feasible levels and data ranges of a sound file."""

import pytest
from tests.cli.command import run
from tests.consortium.documents import EMPIRICAL, POINTS, POWER_LAW, document, organization, save
from tests.stability.oracles import alone_on_grids

from tradefl.consortium import load


def rows_of(out):
    """The table's rows as lists of cells; at least two spaces stand between them."""
    lines = [line.strip() for line in out.splitlines()]
    rule = next(k for k, line in enumerate(lines) if line and set(line) == {"─"})
    rows = []
    for line in lines[rule + 1 :]:
        if not line:
            break
        rows.append([cell.strip() for cell in line.split("  ") if cell.strip()])
    return rows


def test_the_table_shows_what_each_organization_may_do(tmp_path):
    path = save(tmp_path, document())
    ran = run("check", path)
    alone = [f"{alone_on_grids(load(path).game, i):,.6g}" for i in range(3)]
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("three: 3 organizations, no errors\n")
    # z = p - sum_j rho_ij p_j; h = min(1, 17.5 f / (eta s)) at the fastest level.
    assert rows_of(ran.out) == [
        ["Alpha", "1,500", "96", "1,404", "1 2 3", "0.01 .. 1", "20", alone[0]],
        ["Beta", "1,600", "175", "1,425", "1 2", "0.01 .. 0.666667", "21", alone[1]],
        ["Gamma", "1,700", "80", "1,620", "1", "0.01 .. 0.265152", "22", alone[2]],
    ]


def test_the_json_document_agrees_with_the_formulas(tmp_path):
    path = save(tmp_path, document({"organization.1.cycles_per_bit": 150.0}))
    ran = run("check", path, "--json")
    assert (ran.code, ran.err) == (0, "")
    found = ran.json
    assert found["schema"] == "tradefl/check/1"
    assert found["consortium"] == "three"
    assert found["competition_factor"] == 1.0
    assert found["min_data_fraction"] == 0.01
    alpha, beta, gamma = found["organizations"]
    assert [row["name"] for row in found["organizations"]] == ["Alpha", "Beta", "Gamma"]
    assert alpha["z"] == pytest.approx(1500 - 0.06 * 1600, rel=1e-15)
    assert beta["competitors_profitability"] == pytest.approx(0.06 * 1500 + 0.05 * 1700, rel=1e-15)
    assert found["min_z_share"] == pytest.approx((1600 - 175) / 1600, rel=1e-15)
    # Beta at 1 GHz trains 17.5e9 / (150 * 2.1e10) = 0.56% of its data: less than D_min.
    assert (beta["levels"], len(beta["feasible_levels"])) == (2, 1)
    assert beta["feasible_levels"][0]["cpu_hz"] == 2e9
    assert beta["max_data_fraction"] == pytest.approx(17.5 * 2e9 / (150 * 2.1e10), rel=1e-12)
    assert gamma["max_data_fraction"] == pytest.approx(17.5 / (3.0 * 22.0), rel=1e-12)
    assert found["min_omega"] == pytest.approx(0.01 * 63.0, rel=1e-12)
    most = 20.0 + 21.0 * beta["max_data_fraction"] + 22.0 * gamma["max_data_fraction"]
    assert found["max_omega"] == pytest.approx(most, rel=1e-12)
    model = load(path).accuracy_model
    assert found["max_performance"] == model.value(found["max_omega"])
    assert found["min_performance"] == model.value(found["min_omega"])


def test_infeasible_levels_are_counted(tmp_path):
    ran = run("check", save(tmp_path, document({"organization.1.cycles_per_bit": 150.0})))
    assert rows_of(ran.out)[1][4] == "2 of 2"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, None),
        ({"accuracy.untrained_loss": 0.3}, "P is zero up to Omega = 20 units"),
        ({"accuracy.untrained_loss": 0.2}, "training never helps"),
        ({"accuracy.untrained_loss": 0.21}, "training never helps"),
        ({"accuracy": {**POWER_LAW, "untrained_loss": 0.04}}, "training never helps"),
    ],
    ids=["", "onset", "no onset", "onset beyond the data", "power-law"],
)
def test_a_range_over_which_training_does_not_help_is_noted(tmp_path, changes, expected):
    path = save(tmp_path, document(changes))
    ran = run("check", path)
    assert ran.code == 0
    if expected is None:
        assert ran.err == ""
    else:
        assert ran.err.startswith("note: ")
        assert expected in ran.err
    onset = run("check", path, "--json").json["onset_units"]
    model = load(path).accuracy_model
    assert onset is None if model.onset == float("inf") else onset == model.onset


def test_rescaling_is_noted(tmp_path):
    path = save(tmp_path, document({"competition": {"default": 0.9, "rescale": True}}))
    ran = run("check", path)
    factor = load(path).competition_factor
    assert factor < 1.0
    assert f"note: competition.rescale multiplied rho by {factor:.6g}" in ran.err
    assert run("check", path, "--json").json["competition_factor"] == factor


@pytest.mark.parametrize("accuracy", [POWER_LAW, EMPIRICAL], ids=lambda section: section["model"])
def test_every_accuracy_model(tmp_path, accuracy):
    path = save(tmp_path, document({"accuracy": accuracy}), points=POINTS)
    found = run("check", path, "--json").json
    assert 0.0 <= found["min_performance"] < found["max_performance"] < 1.0


def test_a_long_table_is_cut_and_counted_but_the_json_is_not(tmp_path):
    entries = [organization(f"Org {k}") for k in range(47)]
    path = save(tmp_path, document({"organization": entries, "competition": {}}))
    ran = run("check", path)
    assert [row[0] for row in rows_of(ran.out)] == [f"Org {k}" for k in range(30)]
    assert "... and 17 more; --json has them all" in ran.out
    assert len(run("check", path, "--json").json["organizations"]) == 47


def test_exactly_thirty_rows_are_not_cut(tmp_path):
    entries = [organization(f"Org {k}") for k in range(30)]
    ran = run("check", save(tmp_path, document({"organization": entries, "competition": {}})))
    assert len(rows_of(ran.out)) == 30
    assert "more; --json" not in ran.out


def test_names_are_printed_as_they_are(tmp_path):
    names = ["[red]Alpha[/red]", ":smile: 'x' \"y\"", "Größe\\中文"]
    changes = {f"organization.{k}.name": name for k, name in enumerate(names)}
    ran = run("check", save(tmp_path, document({**changes, "competition": {}, "name": "[b]t[/b]"})))
    assert ran.out.startswith("[b]t[/b]: 3 organizations")
    assert [row[0] for row in rows_of(ran.out)] == names


def test_who_would_rather_not_join_is_named(tmp_path):
    path = save(tmp_path, document({"organization.1.joining_cost": 1e5}))
    ran = run("check", path)
    assert ran.code == 0
    assert "better than alone at the equilibrium: no: Beta would earn more by training" in ran.err
    assert "better than alone" not in run("check", save(tmp_path, document())).err
