"""``tradefl check``: whether the file is sound, and what each organization may do."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tradefl.cli.options import File, Json
from tradefl.cli.output import note, print_facts, print_json, print_table, progress, say
from tradefl.cli.solve import better_than_alone
from tradefl.consortium import Consortium, load
from tradefl.game import alone
from tradefl.incentives.radius import radius, radius_words
from tradefl.solvers import Solution, solve

# Of more organizations the equilibrium is not solved only to check a file.
MOST_SOLVED = 10_000


def check(file: File, as_json: Json = False) -> None:
    """Validate a consortium file; print z_i, feasible levels, data ranges and what each has alone.

    Example: tradefl check examples/drug_discovery.toml
    """
    with progress(f"checking {file}"):
        consortium = load(file)
        solution = solve(consortium.game) if len(consortium) <= MOST_SOLVED else None
        document, words = report(consortium, solution)
    if solution is not None and solution.below_alone.size:
        note(f"better than alone at the equilibrium: {better_than_alone(solution)}")
    if as_json:
        print_json(document)
        return
    minimum = document["min_data_fraction"]
    say(f"{consortium.name}: {len(consortium):,} organizations, no errors\n")
    print_table(
        [
            "organization",
            "p",
            "sum rho p",
            "z",
            "feasible levels GHz",
            "data fraction",
            "data units",
            "alone",
        ],
        [
            [
                row["name"],
                f"{row['profitability']:,.6g}",
                f"{row['competitors_profitability']:,.6g}",
                f"{row['z']:,.6g}",
                " ".join(f"{level['cpu_hz'] / 1e9:g}" for level in row["feasible_levels"])
                + (f" of {row['levels']}" if len(row["feasible_levels"]) < row["levels"] else ""),
                f"{minimum:g} .. {row['max_data_fraction']:.6g}",
                f"{row['data_units']:,.6g}",
                f"{row['alone']:,.6g}",
            ]
            for row in document["organizations"]
        ],
        left=(0, 4),
    )
    onset = document["onset_units"]
    print_facts(
        [
            (
                "data range Omega",
                f"{document['min_omega']:.6g} .. {document['max_omega']:.6g} units",
            ),
            (
                "performance P",
                f"{document['min_performance']:.6g} .. {document['max_performance']:.6g}",
            ),
            ("smallest z / p", f"{document['min_z_share']:.6g}"),
            *([("rule", "efficient")] if document["rule"] == "efficient" else []),
            *([("self-enforcing", words)] if words else []),
        ]
    )
    if onset is None or onset >= document["max_omega"]:
        note("training never helps: P is zero over the whole data range")
    elif onset > document["min_omega"]:
        note(f"P is zero up to Omega = {onset:.6g} units: below that, training does not help")
    if document["competition_factor"] != 1.0:
        note(f"competition.rescale multiplied rho by {document['competition_factor']:.6g}")


def report(consortium: Consortium, solution: Solution | None) -> tuple[dict[str, Any], str]:
    """Return the JSON document ``tradefl/check/1``, and its self-enforcing range in words.

    Without the equilibrium there is no such range.
    """
    from tradefl.documents.check import CheckDocument, CheckedOrganization, FeasibleLevel

    game = consortium.game
    reach = game.max_data_fraction(game.cpu_levels_hz)
    feasible = game.level_is_feasible()
    exists = ~np.isnan(game.cpu_levels_hz)
    most = np.fmax.reduce(reach, axis=1)
    min_omega = float((game.min_data_fraction * game.data_units).sum())
    max_omega = float((most * game.data_units).sum())
    onset = float(game.accuracy.onset)
    outside = alone(game)
    organizations = [
        CheckedOrganization(
            name=game.name_of(i),
            profitability=float(game.profitability[i]),
            competitors_profitability=float(game.competitors_profitability[i]),
            z=float(game.potential_weights[i]),
            levels=int(exists[i].sum()),
            feasible_levels=[
                FeasibleLevel(
                    cpu_hz=float(game.cpu_levels_hz[i, level]),
                    max_data_fraction=float(reach[i, level]),
                )
                for level in np.flatnonzero(feasible[i])
            ],
            max_data_fraction=float(most[i]),
            data_units=float(game.data_units[i]),
            alone=float(outside[i]),
        )
        for i in range(game.size)
    ]
    found = None
    if solution is not None:
        found = radius(game, solution.profile)
    document = CheckDocument(
        document="tradefl/check/1",
        consortium=consortium.name,
        rule=consortium.mechanism.rule,
        competition_factor=consortium.competition_factor,
        min_data_fraction=game.min_data_fraction,
        min_omega=min_omega,
        max_omega=max_omega,
        min_performance=float(game.accuracy.value(min_omega)),
        max_performance=float(game.accuracy.value(max_omega)),
        onset_units=onset if math.isfinite(onset) else None,
        min_z_share=float((game.potential_weights / game.profitability).min()),
        self_enforcing=None if found is None else found.document(game),
        organizations=organizations,
    )
    return document.to_dict(), "" if found is None else radius_words(found, game)
