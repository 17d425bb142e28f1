"""``tradefl tune``: the document, the table, the exit codes."""

import pytest
from tests.cli.command import run
from tests.consortium.documents import NAMES, document, save

import tradefl
from tradefl.tuning import tune

KEYS = {
    "schema", "consortium", "method", "individual_rationality", "incentive_intensity",
    "participation", "better_than_alone",
    "social_welfare", "social_welfare_without_incentive", "individually_rational",
    "largest_individually_rational", "individually_rational_throughout", "organizations", "curve",
}  # fmt: skip
RUINOUS = {"energy.upload_watts": 1e6}


def test_json_is_the_tuning(tmp_path):
    path = save(tmp_path, document())
    ran = run("tune", path, "--method", "dbr", "--json")
    assert (ran.code, ran.err) == (0, "")
    found = ran.json
    assert set(found) == KEYS
    assert found == tune(tradefl.load(path).game, method="dbr").to_dict()
    assert (found["schema"], found["consortium"], found["method"]) == (
        "tradefl/tune/1", "three", "dbr",
    )  # fmt: skip
    assert [organization["name"] for organization in found["organizations"]] == list(NAMES)
    for organization in found["organizations"]:
        assert (
            organization["gain"]
            == organization["payoff"] - organization["payoff_without_incentive"]
        )
    total = sum(organization["payoff"] for organization in found["organizations"])
    assert total == pytest.approx(found["social_welfare"], rel=1e-12)
    assert found["social_welfare"] >= found["social_welfare_without_incentive"]
    assert found["individual_rationality"] is True
    best = [
        point for point in found["curve"]
        if point["incentive_intensity"] == found["incentive_intensity"]
    ]  # fmt: skip
    assert [point["social_welfare"] for point in best] == [found["social_welfare"]]


def test_the_table_names_gamma_and_who_gains(tmp_path):
    path = save(tmp_path, document())
    found = run("tune", path, "-m", "dbr", "--json").json
    ran = run("tune", path, "-m", "dbr")
    assert (ran.code, ran.err) == (0, "")
    assert f"{found['incentive_intensity']:.6g}" in ran.out
    assert f"{found['social_welfare']:,.3f}" in ran.out
    for name in NAMES:
        assert name in ran.out


def test_where_nothing_is_individually_rational_the_answer_is_no(tmp_path):
    path = save(tmp_path, document(RUINOUS))
    ran = run("tune", path, "-m", "dbr", "--json")
    assert ran.code == 1
    assert ran.json["incentive_intensity"] is None
    assert ran.json["organizations"] is None
    assert ran.err == (
        "note: at every gamma some organization would earn more alone; --participation zero asks "
        "for payoffs of at least 0, --no-ir for nothing\n"
    )
    weaker = run("tune", path, "-m", "dbr", "--participation", "zero", "--json")
    assert weaker.code == 1
    assert weaker.err == "note: no gamma is individually rational; --no-ir lifts that demand\n"
    assert weaker.json["participation"] == "zero"
    table = run("tune", path, "-m", "dbr")
    assert table.code == 1
    assert "largest individually rational gamma" in table.out
    assert "none" in table.out


def test_no_ir_lifts_the_demand(tmp_path):
    path = save(tmp_path, document(RUINOUS))
    ran = run("tune", path, "-m", "dbr", "--no-ir", "--json")
    assert (ran.code, ran.err) == (0, "")
    found = ran.json
    assert (found["individual_rationality"], found["individually_rational"]) == (False, False)
    assert found["incentive_intensity"] > 0.0
    assert found["largest_individually_rational"] is None
    assert found["individually_rational_throughout"] is False


def test_the_largest_gamma_to_try(tmp_path):
    path = save(tmp_path, document())
    found = run("tune", path, "-m", "dbr", "--largest", "1e-9", "--json").json
    assert max(point["incentive_intensity"] for point in found["curve"]) == pytest.approx(1e-9)
    for bad in ("0", "-1", "nan", "inf", "x"):
        ran = run("tune", path, "--largest", bad)
        assert (ran.code, ran.out) == (2, ""), bad
        assert "--largest" in ran.words


@pytest.mark.parametrize("method", ["fip", "gca"])
def test_a_baseline_whose_grid_does_not_fit_is_exit_2(tmp_path, method):
    # 0.1 of the data takes 2e10 * 2 * 0.1 / 3e9 = 1.3 s; there is 1 s.
    changes = {"mechanism.deadline_seconds": 3.5}
    path = save(tmp_path, document(changes))
    ran = run("tune", path, "-m", method)
    assert "Traceback" not in ran.err
    assert ran.code in (0, 1, 2)  # 1: alone there is no time lost in transfers
    if method == "fip":
        assert ran.code == 2


def test_a_bad_file_is_exit_2(tmp_path):
    ran = run("tune", tmp_path / "none.toml", "--json")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {tmp_path / 'none.toml'}: ")
