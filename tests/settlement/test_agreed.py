"""Results are judged by the agreement's integers: rounding a figure makes no false verdict."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from tests.cli.command import run

import tradefl
from tradefl.errors import InputError
from tradefl.game import certify
from tradefl.negotiation.agent import profile_of
from tradefl.negotiation.in_process import negotiate
from tradefl.negotiation.knowledge import known_game, private_figures
from tradefl.negotiation.protocol import TOLERANCE
from tradefl.settlement.agreed import agreed_game, game_on_agreed_strategies
from tradefl.settlement.agreement import Agreement
from tradefl.settlement.stand_ins import addresses_or_stand_ins

EXAMPLES = Path(__file__).parents[2] / "examples"
Change = Callable[[dict[str, Any]], None]


def levels_between_hertz(document: dict[str, Any]) -> None:
    for k, entry in enumerate(document["organization"]):
        entry["cpu_levels_hz"] = [f + 0.1 + 0.07 * k for f in entry["cpu_levels_hz"]]


def least_share_between_ppb(document: dict[str, Any]) -> None:
    document["mechanism"]["min_data_fraction"] = 0.0100000004999


def payments_of_few_digits(document: dict[str, Any]) -> None:
    """One wei is worth so much that gamma keeps three digits in the agreement."""
    document["settlement"] = {"wei_per_payoff": 1}
    document["mechanism"]["incentive_intensity"] = 1.234567e-15


def intensities_below_a_ppb(document: dict[str, Any]) -> None:
    document["competition"].pop("pairs")
    document["competition"]["default"] = 4.9e-10


def sizes_between_bits(document: dict[str, Any]) -> None:
    for entry in document["organization"]:
        entry["data_bits"] += 0.37


CHANGES: list[Change] = [
    levels_between_hertz,
    least_share_between_ppb,
    payments_of_few_digits,
    intensities_below_a_ppb,
    sizes_between_bits,
]


def changed(folder: Path, *changes: Change) -> Path:
    """Write examples/hospitals.toml with figures that no agreement holds as they are."""
    document = tomllib.loads((EXAMPLES / "hospitals.toml").read_text("utf-8"))
    for change in changes:
        change(document)
    path = folder / "unrounded.toml"
    path.write_text(tomli_w.dumps(document), encoding="utf-8")
    return path


def agreement_of(consortium: tradefl.Consortium) -> Agreement:
    return Agreement.of(consortium, addresses_or_stand_ins(consortium.organizations.addresses))


@pytest.mark.parametrize(
    "changes",
    [[change] for change in CHANGES] + [CHANGES],
    ids=[*(c.__name__ for c in CHANGES), "all"],
)
def test_a_negotiation_is_an_equilibrium_of_what_was_agreed(
    changes: list[Change], tmp_path: Path
) -> None:
    file = changed(tmp_path, *changes)
    ran = run("negotiate", file, "--json", "-o", tmp_path / "out.json")
    assert ran.code == 0, ran.err
    assert ran.json["status"] == "equilibrium"
    # And what reads the document next does not call it infeasible.
    explained = run("explain", file, "--profile", tmp_path / "out.json", "--json")
    assert explained.code == 0, explained.err
    assert explained.json["status"] != "infeasible"
    assert run("settle", file, "--profile", tmp_path / "out.json").code == 0


def test_the_file_itself_would_call_it_infeasible(tmp_path: Path) -> None:
    """So the verdict above depends on the figures that it is made with."""
    consortium = tradefl.load(changed(tmp_path, levels_between_hertz))
    agreement = agreement_of(consortium)
    standing, _ = negotiate(consortium, agreement)
    profile = profile_of(standing.reports)
    assert not certify(consortium.game, profile).feasible
    assert certify(agreed_game(consortium, agreement), profile).is_equilibrium(TOLERANCE)
    assert game_on_agreed_strategies(consortium, agreement).is_feasible(profile).all()


def test_a_deviation_is_still_found(tmp_path: Path) -> None:
    consortium = tradefl.load(changed(tmp_path, *CHANGES))
    agreement = agreement_of(consortium)
    standing, _ = negotiate(consortium, agreement)
    reports = list(standing.reports)
    reports[1] = dataclasses.replace(reports[1], data_ppb=reports[1].data_ppb - 10**6)
    certificate = certify(agreed_game(consortium, agreement), profile_of(reports))
    assert not certificate.is_equilibrium(TOLERANCE)
    assert int(np.argmax(certificate.regret)) == 1


@pytest.mark.parametrize("name", ["hospitals", "drug_discovery"])
def test_each_agent_plays_its_row_of_the_agreed_game(name: str) -> None:
    consortium = tradefl.load(EXAMPLES / f"{name}.toml")
    agreement = agreement_of(consortium)
    whole = agreed_game(consortium, agreement)
    for i in range(len(consortium)):
        known = known_game(agreement, private_figures(consortium, i))
        for field in (
            "profitability",
            "data_units",
            "potential_weights",
            "total_intensity",
            "data_fraction_per_hz",
        ):
            assert getattr(known, field)[i] == getattr(whole, field)[i], field
        assert known.incentive_intensity == whole.incentive_intensity


def test_an_agreement_of_others_is_refused() -> None:
    consortium = tradefl.load(EXAMPLES / "hospitals.toml")
    other = tradefl.load(EXAMPLES / "drug_discovery.toml")
    with pytest.raises(ValueError, match="agreement: expected the organizations"):
        agreed_game(consortium, agreement_of(other))


def test_a_level_that_rounding_makes_infeasible_is_named(tmp_path: Path) -> None:
    """Its only level trains D_min just in time, and not with half a hertz less."""

    def tight(document: dict[str, Any]) -> None:
        one = document["organization"][1]
        mechanism = document["mechanism"]
        time = mechanism["deadline_seconds"] - one["download_seconds"] - one["upload_seconds"]
        bits = 1000.0
        one |= {"data_bits": bits, "cpu_levels_hz": [1.4]}
        one["cycles_per_bit"] = 1.39 * time / (bits * mechanism["min_data_fraction"])

    consortium = tradefl.load(changed(tmp_path, tight))
    agreement = agreement_of(consortium)
    for judge in (agreed_game, game_on_agreed_strategies):
        with pytest.raises(InputError) as error:
            judge(consortium, agreement)
        assert repr(consortium.names[1]) in str(error.value)
        assert "rounded figures" in str(error.value)


def test_the_public_terms_are_those_of_the_annex(tmp_path: Path) -> None:
    """A file with another deadline than the agreement's is judged under the agreement's."""
    consortium = tradefl.load(EXAMPLES / "hospitals.toml")
    agreement = agreement_of(consortium)
    longer = consortium.mechanism.model_copy(
        update={"deadline_seconds": 2.0 * consortium.mechanism.deadline_seconds}
    )
    changed_file = dataclasses.replace(consortium, mechanism=longer)
    game = agreed_game(changed_file, agreement)
    assert game.deadline_seconds == json.loads(agreement.annex)["deadline_seconds"]
