"""``tradefl design``: the document, the table, the file, and what is refused."""

import dataclasses
from importlib import import_module

import pytest
from tests.cli.command import run, run_process
from tests.consortium.documents import NAMES, document, save

import tradefl
from tradefl.design import TARGETS, Design, design

FEW = ("--starts", 2)
# The package hands out the function under the module's name.
command = import_module("tradefl.cli.design")


@pytest.fixture
def path(tmp_path):
    return save(tmp_path, document())


def test_json_is_the_design(path):
    ran = run("design", path, "--json", *FEW)
    assert (ran.code, ran.err) == (0, "")
    found = tradefl.load(path)
    expected = design(found.game, random_starts=2).to_dict()
    assert ran.json == expected
    assert ran.json["schema"] == "tradefl/design/1"
    assert [organization["name"] for organization in ran.json["organizations"]] == list(NAMES)
    assert len(ran.json["starts"]) == 6


@pytest.mark.parametrize("target", TARGETS)
def test_the_target_the_breakpoints_and_the_seed_are_heeded(path, target):
    options = ("--target", target, "--breakpoints", 6, "--seed", 5, "--json", *FEW)
    found = run("design", path, *options).json
    game = tradefl.load(path).game
    assert found == design(game, target, breakpoints=6, seed=5, random_starts=2).to_dict()
    assert max(len(organization["schedule"]) for organization in found["organizations"]) <= 6


def test_the_table_says_what_everybody_gains(path):
    ran = run("design", path, *FEW)
    found = design(tradefl.load(path).game, random_starts=2)
    assert (ran.code, ran.err) == (0, "")
    for name in NAMES:
        assert name in ran.out
    assert f"{found.agreed.social_welfare:,.3f}" in ran.out
    assert f"proven: at most {found.optimum.welfare_bound:,.3f}" in ran.out
    assert f"{found.price_of_anarchy:.6f}" in ran.out
    assert f"lead to the optimum from {found.reached} of 6 starts" in ran.out


def test_a_start_that_leads_elsewhere_is_named(path, monkeypatch):
    real = design(tradefl.load(path).game, random_starts=0)
    astray = dataclasses.replace(real.starts[1], reached=False)
    other = dataclasses.replace(real, starts=(real.starts[0], astray))
    monkeypatch.setattr(command, "design_game", lambda *_, **__: other)
    ran = run("design", path)
    assert "from 1 of 2 starts" in ran.out
    assert f"not from: the least data (welfare {astray.social_welfare:,.3f})" in ran.out


def test_the_file_is_solved_compared_and_designed_again(path, tmp_path):
    output = tmp_path / "as designed.toml"
    ran = run("design", path, "-o", output, "--json", *FEW)
    assert ran.code == 0
    assert ran.err == f"note: wrote {output}; try: tradefl compare '{output}'\n"
    solved = run("solve", output, "--json")
    assert solved.code == 0
    for organization, agreed in zip(
        solved.json["organizations"], ran.json["organizations"], strict=True
    ):
        assert organization["data_fraction"] == pytest.approx(agreed["data_fraction"], abs=1e-6)
        assert organization["cpu_hz"] == agreed["cpu_hz"]
        assert organization["payoff"] == pytest.approx(agreed["payoff"], rel=1e-6)
    assert run("compare", output, "--json").code == 0
    again = run("design", output, "--json", *FEW).json
    assert again["organizations"] == ran.json["organizations"]


def test_quiet_leaves_the_result_alone(path, tmp_path):
    loud = run("design", path, "-o", tmp_path / "one.toml", *FEW)
    quiet = run("design", path, "-o", tmp_path / "two.toml", "--quiet", *FEW)
    assert (quiet.code, quiet.out, quiet.err) == (0, loud.out, "")
    assert (tmp_path / "one.toml").read_bytes() == (tmp_path / "two.toml").read_bytes()


def test_what_the_file_had_besides_stays(tmp_path):
    settlement = {"wei_per_payoff": 10**12, "turn_seconds": 30}
    path = save(tmp_path, document({"settlement": settlement}))
    output = tmp_path / "designed.toml"
    assert run("design", path, "-o", output, *FEW).code == 0
    one, two = tradefl.load(path), tradefl.load(output)
    assert two == one.designed(two.efficient_rule, "equal-gain")


# --- what is refused ----------------------------------------------------------------------------


def test_the_output_may_not_be_the_file(path, tmp_path):
    before = path.read_bytes()
    for output in (path, tmp_path / "." / "consortium.toml"):
        ran = run("design", path, "-o", output)
        assert (ran.code, ran.out) == (2, "")
        assert ran.err == f"error: --output: {output} is the place of FILE too\n"
    assert path.read_bytes() == before


def test_a_place_that_cannot_be_written_is_refused_before_the_work(path, tmp_path, monkeypatch):
    def never(*_, **__):
        raise AssertionError("worked in vain")

    monkeypatch.setattr(command, "design_game", never)
    folder = run("design", path, "-o", tmp_path)
    assert (folder.code, folder.err) == (
        2,
        f"error: {tmp_path}: cannot be written: it is a folder\n",
    )
    nowhere = tmp_path / "nowhere" / "designed.toml"
    missing = run("design", path, "-o", nowhere)
    assert missing.code == 2
    assert missing.err == f"error: {nowhere}: cannot be written: there is no such folder\n"


def test_nothing_is_written_where_the_rule_is_not_verified(path, tmp_path, monkeypatch):
    monkeypatch.setattr(Design, "verified", lambda _: False)
    output = tmp_path / "designed.toml"
    ran = run("design", path, "-o", output, "--json", *FEW)
    assert ran.code == 1
    assert ran.json["schema"] == "tradefl/design/1"
    assert ran.err == (
        "note: the rule is not verified: somebody gains by deviating, or is worse off; "
        "not written\n"
    )
    assert not output.exists()


def test_one_organization_is_refused(tmp_path):
    entries = document({"competition": {}})
    entries["organization"] = entries["organization"][:1]
    path = save(tmp_path, entries)
    ran = run("design", path)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        f"error: {path}: organizations: expected at least two, to compensate each other\n"
    )


def test_no_proportion_to_a_loss(tmp_path):
    path = save(tmp_path, document({"energy.upload_watts": 1e6}))
    ran = run("design", path, "--target", "proportional-gain", *FEW)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(
        "error: --target: proportional-gain needs a positive payoff without compensation, and "
        "Alpha has -"
    )


def test_an_exchange_rate_too_coarse(tmp_path):
    path = save(tmp_path, document({"settlement": {"wei_per_payoff": 1}}))
    ran = run("design", path, *FEW)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        f"error: {path}: settlement.wei_per_payoff: 1 wei are too coarse for the schedules; "
        "take more\n"
    )


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--target", "equal-gains"), "did you mean 'equal-gain'?"),
        (("--breakpoints", 3), "3 is not in the range 4<=x<=32"),
        (("--breakpoints", 33), "33 is not in the range 4<=x<=32"),
        (("--starts", -1), "-1 is not in the range x>=0"),
    ],
)
def test_options_out_of_range(path, options, what):
    ran = run("design", path, *options)
    assert (ran.code, ran.out) == (2, "")
    assert what in ran.words


def test_a_negative_seed_is_refused(path):
    ran = run("design", path, "--seed", -1)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "error: --seed: expected an integer >= 0, got -1\n"


def test_a_file_that_is_none(tmp_path):
    ran = run("design", tmp_path / "nothing.toml")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: {tmp_path / 'nothing.toml'}: ")


# --- standard output ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [("solve", "--method", "planner"), ("design", "--starts", "0")]
)
def test_standard_output_is_one_document(path, arguments):
    command, *options = arguments
    ran = run_process(command, path, *options, "--json")
    assert ran.code == 0
    assert ran.err == ""
    assert ran.json["schema"].startswith("tradefl/")
    assert ran.json["social_welfare_upper_bound"] >= ran.json["social_welfare"]


def test_without_a_target_large_consortia_are_not_searched(path, monkeypatch):
    """The search for coalitions takes minutes for a thousand organizations; it is said."""
    monkeypatch.setattr(command, "STABLE_UP_TO", 2)
    monkeypatch.setattr(import_module("tradefl.design"), "STABLE_UP_TO", 2)
    ran = run("design", path, "--json", *FEW)
    assert (ran.code, ran.json["target"]) == (0, "equal-gain")
    assert "more than 2 organizations: equal gains were taken without a search" in ran.err
    asked = run("design", path, "--target", "stable", "--json", *FEW)
    assert (asked.code, asked.json["target"], asked.err) == (0, "stable", "")
