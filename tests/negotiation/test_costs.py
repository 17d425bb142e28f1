"""Costs are private, quality is public and hashed: what agents, annexes and audits make of them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from tests.settlement.consortia import EXAMPLES

import tradefl
from tradefl.consortium import Consortium
from tradefl.errors import InputError
from tradefl.game import certify, payoffs
from tradefl.negotiation.agent import profile_of
from tradefl.negotiation.in_process import negotiate
from tradefl.negotiation.knowledge import (
    known_game,
    load_private,
    private_figures,
    write_private,
)
from tradefl.negotiation.protocol import TOLERANCE
from tradefl.settlement import Agreement
from tradefl.settlement.agreed import agreed_game, public_terms
from tradefl.settlement.stand_ins import addresses_or_stand_ins
from tradefl.solvers.best_response import best_response

HOSPITALS = next(path for path in EXAMPLES if path.stem == "hospitals")
PRIVATE = ("data_cost", "joining_cost", "capacitance")


def costly_hospitals(**columns: object) -> Consortium:
    consortium = tradefl.load(HOSPITALS)
    n = len(consortium)
    rng = np.random.default_rng(4)
    drawn = {
        "data_cost": rng.uniform(0.0, 30.0, n),
        "joining_cost": rng.uniform(0.0, 5.0, n),
        "capacitance": np.where(np.arange(n) == 1, np.nan, 1e-27 * rng.uniform(0.5, 2.0, n)),
        "quality": rng.uniform(0.5, 1.5, n),
    }
    who = dataclasses.replace(consortium.organizations, **(drawn | columns))
    return dataclasses.replace(consortium, organizations=who)


def agreement_of(consortium: Consortium) -> Agreement:
    addresses = addresses_or_stand_ins(consortium.organizations.addresses)
    return Agreement.of(consortium, addresses)


def test_each_agent_plays_its_row() -> None:
    consortium = costly_hospitals()
    agreement = agreement_of(consortium)
    game = agreed_game(consortium, agreement)
    at = tradefl.solve(consortium, method="dbr").profile
    moved = tradefl.solve(tradefl.load(HOSPITALS), method="dbr").profile
    assert not np.array_equal(at.data_fraction, moved.data_fraction)  # the costs matter
    for i in range(len(consortium)):
        known = known_game(agreement, private_figures(consortium, i))
        assert payoffs(known, at).payoff[i] == pytest.approx(payoffs(game, at).payoff[i], rel=1e-12)
        assert payoffs(known, at).overhead[i] == payoffs(game, at).overhead[i]
        mine, theirs = best_response(known, at, i), best_response(game, at, i)
        assert mine[0] == pytest.approx(theirs[0], rel=1e-9)
        assert mine[1] == theirs[1]


def test_a_negotiation_ends_in_an_equilibrium_with_costs() -> None:
    consortium = costly_hospitals()
    agreement = agreement_of(consortium)
    standing, _ = negotiate(consortium, agreement)
    assert standing.over
    profile = profile_of(standing.reports)
    assert certify(agreed_game(consortium, agreement), profile).is_equilibrium(TOLERANCE)
    free = {name: np.zeros(len(consortium)) for name in ("data_cost", "joining_cost")}
    plain = costly_hospitals(**free)
    assert not certify(agreed_game(plain, agreement), profile).is_equilibrium(TOLERANCE)


def test_costs_are_in_no_agreement_and_quality_is_hashed() -> None:
    consortium = costly_hospitals()
    plain = tradefl.load(HOSPITALS)
    n = len(plain)
    quality_alone = costly_hospitals(
        data_cost=np.zeros(n), joining_cost=np.zeros(n), capacitance=np.full(n, np.nan)
    )
    weighed = agreement_of(consortium)
    assert weighed.hash == agreement_of(quality_alone).hash
    assert weighed.hash != agreement_of(plain).hash
    annex = json.loads(weighed.annex)
    assert annex["quality"] == consortium.organizations.quality.tolist()
    assert not set(PRIVATE) & set(annex)
    assert annex["energy"]["capacitance"] == plain.energy.capacitance
    ones = costly_hospitals(quality=np.ones(n))
    assert agreement_of(ones).hash == agreement_of(plain).hash
    assert "quality" not in json.loads(agreement_of(ones).annex)


@pytest.mark.parametrize(
    "quality", [[], [1.0], "x", {}, [0.0] * 8, [-1.0] * 8, [True] * 8, ["1"] * 8, [1e301] * 8]
)
def test_a_quality_that_is_none_is_refused(quality: object) -> None:
    agreement = agreement_of(costly_hospitals())
    annex = json.loads(agreement.annex) | {"quality": quality}
    wrong = dataclasses.replace(agreement, annex=json.dumps(annex).encode())
    with pytest.raises(InputError, match=r"annex: quality: expected .* numbers > 0"):
        public_terms(wrong)


def test_a_private_file_holds_them(tmp_path: Path) -> None:
    consortium = costly_hospitals()
    path = tmp_path / "own.toml"
    figures = private_figures(consortium, 0)
    write_private(figures, path)
    assert load_private(path) == figures
    assert all(f"{key} = " in path.read_text(encoding="utf-8") for key in PRIVATE)
    assert private_figures(consortium, 1).capacitance is None
    write_private(private_figures(tradefl.load(HOSPITALS), 0), path)
    assert not any(f"{key} = " in path.read_text(encoding="utf-8") for key in PRIVATE)


@pytest.mark.parametrize("key", PRIVATE)
@pytest.mark.parametrize("value", ["-1.0", "nan", "inf", "'x'"])
def test_a_private_cost_that_is_none_is_refused(tmp_path: Path, key: str, value: str) -> None:
    path = tmp_path / "own.toml"
    write_private(private_figures(tradefl.load(HOSPITALS), 0), path)
    path.write_text(f"{key} = {value}\n" + path.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_private(path)
    assert f"{path}: {key}: expected a" in str(caught.value)
