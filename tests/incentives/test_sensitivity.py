"""What ranges do: draws one by one, one figure at a time, and what is refused."""

import csv
import dataclasses

import numpy as np
import pytest
from tests.cli.command import run
from tests.consortium.documents import document, save
from tests.golden.cases import EXAMPLES

import tradefl
from tradefl.consortium import load
from tradefl.errors import InputError
from tradefl.game import regret
from tradefl.game.participation import alone
from tradefl.game.payoff import payoffs
from tradefl.game.welfare import payoffs_without_redistribution
from tradefl.incentives.uncertainty import _drawn, _Model
from tradefl.solvers import solve
from tradefl.solvers.many import solve_many


def between(low, mid, high):
    return {"low": low, "mid": mid, "high": high}


PRICES = {
    "organization.0.profitability": between(1200.0, 1500.0, 1900.0),
    "organization.1.profitability": between(1500.0, 1600.0, 1650.0),
}
COSTS = {
    **PRICES,
    "organization.2.data_cost": between(0.0, 2.0, 9.0),
    "organization.1.quality": between(0.5, 1.0, 1.2),
    "organization.1.cycles_per_bit": between(1.8, 2.0, 2.5),
    "mechanism.overhead_weight": between(0.1, 0.185, 0.4),
    "energy.capacitance": between(1e-28, 1e-27, 2e-27),
}
RIVALRY = {
    **PRICES,
    "competition.pairs": [["Alpha", "Beta", between(0.0, 0.06, 0.1)], ["Beta", "Gamma", 0.05]],
}
EVERYTHING = {**COSTS, **RIVALRY, "accuracy.epochs": between(4.0, 5.0, 6.0)}
FILES = {"prices": PRICES, "costs": COSTS, "rivalry": RIVALRY, "everything": EVERYTHING}


def truth(consortium, figures, values):
    """The game of one draw, built from the file's sections one by one."""
    who, energy = consortium.organizations, consortium.energy
    columns, changes, rho = {}, {}, {}
    for figure, value in zip(figures, values, strict=True):
        if figure.organization is not None:
            column = columns.setdefault(figure.figure, getattr(who, figure.figure).copy())
            column[who.names.index(figure.organization)] = value
        elif figure.figure.startswith("competition."):
            rho[figure.figure] = float(value)
        else:
            section, _, key = figure.figure.partition(".")
            changes.setdefault(section, {})[key] = float(value)
    sections = {
        name: getattr(consortium, name).model_copy(update=update)
        for name, update in changes.items()
    }
    assert energy is not None
    return dataclasses.replace(
        consortium,
        organizations=dataclasses.replace(who, ranges={}, **columns),
        rho=consortium.with_intensities(rho),
        ranges={},
        **sections,
    ).game


@pytest.mark.parametrize("name", FILES)
def test_draws_are_what_one_game_after_the_other_gives(tmp_path, name):
    consortium = load(save(tmp_path, document(FILES[name])))
    found = tradefl.sensitivity(consortium, 30, seed=5)
    again = tradefl.sensitivity(consortium, 30, seed=5, redesign=True)
    rng = np.random.default_rng(5)
    values = np.column_stack([_drawn(rng, figure, 30) for figure in found.figures])
    agreed = solve(consortium.game)
    paid, profile = agreed.terms.redistribution, agreed.profile
    k = 0
    for row in values:
        try:
            game = truth(consortium, found.figures, row)
        except InputError:
            continue
        earned = payoffs_without_redistribution(game, profile) + paid
        np.testing.assert_allclose(found.payoff[k], earned, rtol=1e-10, atol=1e-9)
        np.testing.assert_allclose(found.alone[k], alone(game), rtol=1e-9, atol=1e-9)
        assert bool(found.deliverable[k]) == bool(game.is_feasible(profile).all())
        if name in ("prices", "costs"):  # payments do not depend on what is drawn
            scale = game.profitability * 1.0
            stable = bool(np.all(regret(game, profile) <= 1e-7 * scale))
            assert bool(found.equilibrium[k]) == (stable and bool(found.deliverable[k]))
        redone = solve(game, "dbr")
        np.testing.assert_allclose(again.payoff[k], redone.payoffs, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(
            again.payment[k], redone.terms.redistribution, rtol=1e-9, atol=1e-9
        )
        k += 1
    assert k == found.welfare.size == again.welfare.size
    assert found.draws == 30


def test_where_only_z_differs_the_radius_says_what_regret_says(tmp_path):
    """Two ways to the same verdict: C1 in closed form, and a search of every deviation."""
    wide = {"organization.0.profitability": between(300.0, 1500.0, 6000.0)}
    consortium = load(save(tmp_path, document(wide)))
    found = tradefl.sensitivity(consortium, 200, seed=1)
    rng = np.random.default_rng(1)
    values = _drawn(rng, found.figures[0], 200)
    model = _Model(consortium, found.figures)
    games, _, _ = model.games(values[:, None])
    profile, gamma = found.agreed.profile, consortium.game.incentive_intensity
    worst = solve_many(
        games.changed(incentive_intensity=np.full((games.count, 1), gamma)),
        method="fixed",
        initial=(profile.data_fraction, profile.cpu_hz),
    ).regret
    scale = games.profitability
    searched = (worst <= 1e-9 * scale).all(axis=1)
    np.testing.assert_array_equal(found.equilibrium, searched)


def test_the_tornado_is_one_figure_at_a_time(tmp_path):
    consortium = load(save(tmp_path, document(EVERYTHING)))
    found = tradefl.sensitivity(consortium, 1)
    mids = [figure.mid for figure in found.figures]
    sizes = [bar.size for bar in found.tornado]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 0.0
    for swing in found.tornado[:4]:
        at = next(k for k, figure in enumerate(found.figures) if found.label(swing) == str(figure))
        ends = []
        for end in (found.figures[at].low, found.figures[at].high):
            row = [*mids[:at], end, *mids[at + 1 :]]
            game = truth(consortium, found.figures, row)
            moved = solve(game, "dbr")
            ends.append(payoffs(game, moved.profile).redistribution)
        i = consortium.names.index(swing.payment_of)
        assert (swing.low, swing.high) == pytest.approx((ends[0][i], ends[1][i]), abs=1e-9)
        assert swing.size == pytest.approx(np.abs(ends[1] - ends[0]).max(), abs=1e-9)


def test_the_efficient_rule_is_kept_or_designed_again(tmp_path):
    path, out = save(tmp_path, document(PRICES)), tmp_path / "d.toml"
    assert run("design", path, "-o", out, "--starts", 0).code == 0
    consortium = load(out)
    kept = tradefl.sensitivity(consortium, 20)
    again = tradefl.sensitivity(consortium, 20, redesign=True)
    assert kept.equilibrium.mean() > 0.0
    assert np.ptp(kept.payment, axis=0).max() == 0.0
    assert np.ptp(again.payment, axis=0).max() > 0.0
    np.testing.assert_allclose(again.payment.sum(axis=1), 0.0, atol=1e-9)
    assert again.bond_covers.shape == (20, 3)
    model = _Model(consortium, kept.figures)
    rng = np.random.default_rng(0)
    values = np.column_stack([_drawn(rng, figure, 20) for figure in kept.figures])
    games, _, _ = model.games(values)
    best = solve(games.game(7).with_incentive_intensity(0.0), "planner")
    assert again.welfare[7] == pytest.approx(best.social_welfare, rel=1e-8)


def test_draws_without_a_game_are_counted_and_explained(tmp_path):
    # At more than 2.7 times the cycles Gamma cannot train D_min in time.
    changes = {
        "mechanism.min_data_fraction": 0.2,
        "organization.2.cycles_per_bit": between(3.0, 3.0, 9.0),
    }
    consortium = load(save(tmp_path, document(changes)))
    found = tradefl.sensitivity(consortium, 200)
    missing = sum(found.without_game.values())
    assert 0 < missing < 200
    assert found.welfare.size == 200 - missing
    assert list(found.without_game) == ["somebody has no level at which it can train D_min in time"]
    document_ = found.to_dict()
    assert (document_["draws"], document_["draws_without_game"]) == (200, missing)


BANDS = ("contribution", "payment", "payoff", "gain_over_alone")


def test_json_csv_and_chart(tmp_path):
    path = save(tmp_path, document(COSTS))
    table, chart, bands = tmp_path / "b.csv", tmp_path / "t.svg", tmp_path / "b.svg"
    ran = run(
        *("sensitivity", path, "--draws", 50, "--seed", 3, "--json"),
        *("--csv", table, "--chart", chart, "--bands", bands),
    )
    assert ran.code == 0
    found = ran.json
    assert found["schema"] == "tradefl/sensitivity/1"
    assert (found["draws"], found["seed"]) == (50, 3)
    assert found == tradefl.sensitivity(load(path), 50, seed=3).to_dict()
    one = found["organizations"][0]
    assert one["payoff"]["p5"] <= one["payoff"]["p50"] <= one["payoff"]["p95"]
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert float(rows[0]["payoff_p50"]) == one["payoff"]["p50"]
    assert float(rows[0]["probability_better_than_alone"]) == one["probability_better_than_alone"]
    # The bonds are drawn with --redesign only.
    assert (rows[0]["probability_bond_covers"], one["probability_bond_covers"]) == ("", None)
    assert set(rows[0]) == {
        "organization",
        *(f"{kind}_{end}" for kind in BANDS for end in ("p5", "p50", "p95")),
        *("probability_better_than_alone", "probability_bond_covers"),
    }
    assert chart.read_text().startswith("<svg")
    assert bands.read_text().startswith("<svg")
    assert chart.read_text() != bands.read_text()


def test_the_example_runs_and_its_page_has_the_section(tmp_path):
    example = EXAMPLES / "hospitals_ranges.toml"
    ran = run("sensitivity", example, "--draws", 40)
    assert ran.code == 0
    assert "rho of University A and City Hospital" in ran.out
    page = tmp_path / "page.html"
    assert run("report", example, "-o", page, "--no-tune", "--no-compare").code == 0
    assert "How sure are we?" in page.read_text()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "no figure has a range"),
        (("--draws", 0), "--draws"),
        (("--draws", -3), "--draws"),
        (("--seed", -1), "--seed"),
        (("--bands", "x.pdf"), "--bands: expected a name that ends in one of"),
        (("--chart", "x.pdf"), "--chart: expected a name that ends in one of"),
        (("--csv", "no/such/folder.csv"), "there is no such folder"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, options, message):
    changes = {} if not options else PRICES
    ran = run("sensitivity", save(tmp_path, document(changes)), *options)
    assert ran.code == 2
    assert message in ran.err


def test_the_library_names_parameters(tmp_path):
    consortium = load(save(tmp_path, document(PRICES)))
    for name, options in (("draws", {"draws": 0}), ("seed", {"seed": -1})):
        with pytest.raises(InputError, match=rf"^{name}: expected an integer"):
            tradefl.sensitivity(consortium, **options)
