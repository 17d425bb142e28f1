"""A figure without a game, for the tests of what runs figures: it counts how often it computes."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from tradefl.charts import axis, lines
from tradefl.experiments.figure import Figure, Finding, Settings, Unit, seed_units


def compute(seed: int, log: str = "", fatal: int = -1) -> pd.DataFrame:
    if log:
        with Path(log).open("a") as stream:
            stream.write(f"{seed}\n")
    if seed == fatal:
        os._exit(1)
    third = (seed + 1) / 3.0
    return pd.DataFrame({"seed": seed, "x": [1, 2], "value": [third, 0.1 * third], "who": "a"})


def figure(name: str = "toy", log: Path | None = None, fatal: int = -1) -> Figure:
    def units(settings: Settings) -> list[Unit]:
        more = {"log": "" if log is None else str(log), "fatal": fatal}
        return [Unit(unit.key, {**unit.arguments, **more}) for unit in seed_units(settings)]

    return Figure(
        name=name,
        title="a toy",
        group="simulation",
        units=units,
        compute=compute,
        summary=lambda rows: rows.groupby(["x", "who"], as_index=False)["value"].median(),
        chart=lambda summed: lines(summed, axis("x", "x"), axis("value", "value"), series="who"),
        findings=lambda rows: [
            Finding(claim="it grows", paper="up", ours=f"{len(rows)} rows", verdict="reproduced")
        ],
        sources=("tests.experiments.toy",),
    )
