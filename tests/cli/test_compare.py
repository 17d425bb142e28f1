"""``tradefl compare``: the document, the table, whose rule is compared, and what is refused."""

import pytest
from tests.cli.command import run
from tests.consortium.documents import NAMES, document, organization, save

import tradefl
from tradefl.comparison import compare

RUINOUS = {"energy.upload_watts": 1e6}


@pytest.fixture
def path(tmp_path):
    return save(tmp_path, document())


def test_json_is_the_comparison(path):
    ran = run("compare", path, "--json")
    assert (ran.code, ran.err) == (0, "")
    found = ran.json
    more = ["shapley", "leave-one-out", "by-data", "vcg"]
    game = tradefl.load(path).game
    expected = compare(game, mechanisms=more, test_stability=True).to_dict()
    assert found == expected
    plain = run("compare", path, "--json", "--mechanisms", "none").json
    assert plain == compare(game, test_stability=True).to_dict()
    assert (found["schema"], found["consortium"]) == ("tradefl/compare/1", "three")
    first = ["none", "linear", "tuned", "efficient"]
    assert [rule["rule"] for rule in found["rules"]] == [*first, *more]
    assert all(row["stable"] in ("stable", "not stable") for row in found["rules"])
    assert [row["deficit"] > 0.0 for row in found["rules"]] == [False] * 7 + [True]
    for row in found["rules"]:
        assert [organization["name"] for organization in row["organizations"]] == list(NAMES)


def test_the_tables(path):
    ran = run("compare", path)
    found = compare(tradefl.load(path).game)
    assert (ran.code, ran.err) == (0, "")
    for outcome in found.outcomes:
        assert outcome.title in ran.out
        assert f"{outcome.solution.social_welfare:,.3f}" in ran.out
        assert f"{outcome.price_of_anarchy:.6f}" in ran.out
    assert f"{100.0 * found.outcomes[1].gap_closed:.2f} %" in ran.out
    for name in NAMES:
        assert name in ran.out
    assert f"{found.optimum.welfare_bound:,.3f}" in ran.out


def test_a_designed_file_is_compared_with_its_own_rule_unless_a_target_is_given(path, tmp_path):
    designed = tmp_path / "designed.toml"
    assert (
        run("design", path, "-o", designed, "-q", "--target", "least-cash", "--starts", 0).code == 0
    )
    own = run("compare", designed, "--json").json["rules"][3]
    other = run("compare", designed, "--json", "--target", "equal-gain").json["rules"][3]
    assert own["title"] == "the efficient rule of the file"
    assert other["title"] == "the efficient rule, equal-gain"
    least = run("compare", path, "--json", "--target", "least-cash").json["rules"][3]
    for mine, two in zip(own["organizations"], least["organizations"], strict=True):
        assert mine["gain"] == pytest.approx(two["gain"], abs=1e-6)
    assert own["losers"] == other["losers"] == 0


def test_where_no_gamma_is_rational_it_says_so(tmp_path):
    path = save(tmp_path, document(RUINOUS))
    ran = run("compare", path, "--json")
    assert ran.code == 0
    assert ran.err == (
        "note: at every gamma some organization would earn more alone, so none is tuned\n"
        "note: welfare without compensation is not positive, so there is no price of anarchy\n"
    )
    assert [rule["rule"] for rule in ran.json["rules"]][:3] == ["none", "linear", "efficient"]
    assert ran.err == "".join(f"note: {remark}\n" for remark in ran.json["remarks"])
    assert ran.json["rules"][0]["price_of_anarchy"] is None
    table = run("compare", path, "--quiet")
    assert (table.code, table.err) == (0, "")


def test_what_is_refused(path, tmp_path):
    ran = run("compare", path, "--target", "fair")
    assert (ran.code, ran.out) == (2, "")
    assert "--target" in ran.words
    poor = save(tmp_path, document(RUINOUS))
    ran = run("compare", poor, "--target", "proportional-gain")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: --target: proportional-gain needs a positive payoff")
    entries = document({"competition": {}})
    entries["organization"] = entries["organization"][:1]
    alone = save(tmp_path, entries)
    ran = run("compare", alone)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        f"error: {alone}: organizations: expected at least two, to compensate each other\n"
    )


@pytest.mark.parametrize("names", ["", "shapley,,vcg", "shapley,shapley", ","])
def test_mechanisms_are_named_once_each(path, names):
    ran = run("compare", path, "--mechanisms", names)
    assert (ran.code, ran.out) == (2, "")
    assert "--mechanisms: expected names separated by commas, each once, or none" in ran.err


def test_the_same_for_each(path):
    rows = run("compare", path, "--mechanisms", "equal", "--json").json["rules"]
    assert rows[-1]["rule"] == "equal"
    payoffs = {organization["payoff"] for organization in rows[-1]["organizations"]}
    assert max(payoffs) - min(payoffs) <= 1e-9 * max(payoffs)
    assert rows[-1]["payments"] > 0.0


def test_a_mechanism_that_does_not_fit_is_named(tmp_path):
    entries = [organization(f"Org {k}", samples=500 + k) for k in range(15)]
    file = save(tmp_path, document({"organization": entries, "competition": {"pairs": []}}))
    ran = run("compare", file, "--mechanisms", "shapley-profile")
    assert ran.code == 2
    assert "--mechanisms: shapley-profile: expected at most 14 organizations, got 15" in ran.err


def test_a_sampled_split_says_so(tmp_path):
    entries = [organization(f"Org {k}", samples=500 + k) for k in range(13)]
    file = save(tmp_path, document({"organization": entries, "competition": {"pairs": []}}))
    ran = run("compare", file, "--mechanisms", "shapley", "--json")
    assert "shapley is sampled: with 95 % confidence" in ran.json["remarks"][-1]
    for row in ran.json["rules"]:
        wide = [entry.get("half_width") for entry in row["organizations"]]
        assert all(wide) if row["rule"] == "shapley" else not any(wide)
