"""The page and the chart of the solver benchmark, written from its results alone."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

from benchmarks.measure import RESULTS

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
NAME = "solver-benchmark"

# Okabe and Ito's colours, told apart by the colour-blind; markers and labels say the same.
STYLES = {
    "exact": ("#0072B2", "o", "-"),
    "cgbd": ("#D55E00", "s", "-"),
    "cgbd traversal": ("#CC79A7", "^", "--"),
    "SCIP": ("#000000", "D", "-"),
    "brute force": ("#E69F00", "X", ""),
}
# By how many points a label stands above its last marker: these two end near each other.
RAISED = {"cgbd": 9, "SCIP": -9}
LABELS = {"cgbd": "cgbd (milp)", "cgbd traversal": "cgbd (traversal)"}

TEMPLATE = Path(__file__).with_suffix(".md")


COLUMNS = (
    "N",
    "m",
    "method",
    "time",
    "whole call",
    "slowest",
    "over exact",
    "gap",
    "differs",
    "memory",
    "proven",
)
SCIP = (
    "{version}: {settings}; no output; otherwise its defaults. It gets the disaggregated form: "
    "binaries y_il, data d_il between D_min y_il and h_il y_il, and one nonlinear constraint, "
    "t >= (G Omega)^(-1/2), which is convex."
)
NOT_PARAMETERS = ("version", "output")


def write(result: dict[str, Any]) -> None:
    """Write the page and the chart; ``result`` is what stands in ``results/solvers.json``."""
    rows, settings, machine = result["table"], result["settings"], result["machine"]
    scip = settings["SCIP"]
    shown = [f"`{key} = {value:g}`" for key, value in scip.items() if key not in NOT_PARAMETERS]
    page = TEMPLATE.read_text(encoding="utf-8").format(
        minutes=f"{result['benchmark_seconds'] / 60:.1f}",
        **machine,
        load_before=f"{result['load']['before'][0]:.1f}",
        load_after=f"{result['load']['after'][0]:.1f}",
        findings="\n".join(_bullet(line) for line in _findings(result)),
        targets="\n".join(_target(target) for target in result["targets"]),
        table=_table(rows),
        exact_calls=settings["exact_calls"],
        bare=f"{result['bare_process_mb']:.0f}",
        seeds=", ".join(str(seed) for seed in settings["seeds"]),
        exact=settings["exact"],
        cgbd=settings["cgbd"],
        traversal=settings["cgbd traversal"],
        scip=_bullet(SCIP.format(version=scip["version"], settings=", ".join(shown))),
        brute_force=settings["brute force"],
        agreement=_small(settings["agreement"]),
    )
    REFERENCE.mkdir(parents=True, exist_ok=True)
    (REFERENCE / f"{NAME}.md").write_text(page, encoding="utf-8")
    chart(rows, REFERENCE / f"{NAME}.svg")


def find(rows: list[dict[str, Any]], method: str, size: int, levels: int) -> dict[str, Any]:
    """Return the row of a method for N organizations with m levels."""
    key = (method, size, levels)
    return next(row for row in rows if (row["method"], row["organizations"], row["levels"]) == key)


def _label(row: dict[str, Any]) -> str:
    return LABELS.get(row["method"], row["method"])


# --- the text ----------------------------------------------------------------------------------


def _bullet(text: str) -> str:
    return textwrap.fill(
        text, 120, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False
    )


def _seconds(value: float) -> str:
    if value < 0.9995e-3:
        return f"{value * 1e6:.3g} µs"
    return f"{value * 1e3:.3g} ms" if value < 0.9995 else f"{value:.3g} s"


def _times(value: float) -> str:
    return f"{value:.2g}" if value < 9.95 else f"{float(f'{value:.3g}'):,.0f}"


def _small(value: float | None) -> str:
    if value is None:
        return "-"
    return "0" if value == 0.0 else f"{value:.0e}".replace("e-0", "e-")


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [
        f"| {' | '.join(COLUMNS)} |",
        "|" + "|".join("---" if name == "method" else "--:" for name in COLUMNS) + "|",
    ]
    for row in rows:
        over, differs = "1", "-"
        if row["method"] != "exact":
            over = f"{_times(row['ratio'])} ({_times(row['ratio_of_whole_calls'])})"
            differs = _small(row["difference_from_exact"])
        cells = (
            f"{row['organizations']:,}",
            row["levels"],
            _label(row),
            _seconds(row["seconds"]),
            _seconds(row["call_seconds"]),
            _seconds(row["slowest_seconds"]),
            over,
            _small(row["largest_gap"]),
            differs,
            f"{row['peak_mb']:.0f} MiB",
            f"{row['certified']} of {row['calls']}",
        )
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    return "\n".join(lines)


def _target(one: dict[str, Any]) -> str:
    sign, measured, limit = "at most", "", ""
    if one["unit"] == "times":
        sign, measured = "at least", f"{_times(one['measured'])} times"
        limit = f"{one['limit']:g} times as fast"
    elif one["unit"] == "relative":
        measured, limit = _small(one["measured"]), _small(one["limit"])
    elif one["unit"] == "s":
        measured, limit = _seconds(one["measured"]), f"{one['limit']:g} s"
    else:
        measured, limit = f"{one['measured']:.0f} MiB", f"{one['limit']:.0f} MiB (1 GB)"
    return f"| {one['what']} | {sign} {limit} | {measured} | {'yes' if one['holds'] else 'no'} |"


def _findings(result: dict[str, Any]) -> list[str]:
    rows = result["table"]
    return [
        _against_scip(rows),
        _a_million(rows),
        _agreement(rows, result["largest_difference_from_exact"]),
        _masters(rows),
        *_unproven(rows),
        _enumeration(rows),
        _time_limit(rows, result["settings"]["SCIP"]["limits/time"]),
    ]


def _against_scip(rows: list[dict[str, Any]]) -> str:
    exact, scip = find(rows, "exact", 1000, 8), find(rows, "SCIP", 1000, 8)
    return (
        f"For 1,000 organizations with 8 levels `exact` takes {_seconds(exact['seconds'])} and "
        f"SCIP {_seconds(scip['seconds'])}, {_times(scip['ratio'])} times as long in the same "
        "run. Compared by whole calls, with the certificate here and building the model there, "
        f"it is {_times(scip['ratio_of_whole_calls'])} times. For 5 organizations it is "
        f"{_times(find(rows, 'SCIP', 5, 8)['ratio'])} times."
    )


def _a_million(rows: list[dict[str, Any]]) -> str:
    million, tenth = find(rows, "exact", 1_000_000, 8), find(rows, "exact", 100_000, 8)
    growth = million["seconds"] / tenth["seconds"]
    return (
        f"For a million organizations `exact` takes {_seconds(million['seconds'])}, "
        f"{_seconds(million['call_seconds'])} with the certificate, and "
        f"{million['peak_mb']:.0f} MiB; the gap that it proves is "
        f"{_small(million['largest_gap'])}. From 100,000 to a million organizations its time "
        f"grows {growth:.1f}-fold. A process's first call took "
        f"{_seconds(million['first_call_seconds'])}, with loading or compiling the loops."
    )


def _agreement(rows: list[dict[str, Any]], differences: dict[str, float]) -> str:
    listed = ", ".join(
        f"{_small(value)} for {LABELS.get(method, method)}" for method, value in differences.items()
    )
    claims = [row["largest_error_of_claim"] for row in rows]
    claimed = max(claim for claim in claims if claim is not None)
    return (
        "All methods find the same maximum. The largest relative difference from `exact` is "
        f"{listed}. These are the potentials of the returned contributions. The objective "
        f"value that SCIP itself reports is off by up to {_small(claimed)} relative, as its "
        "default settings let it break a constraint by 1e-6; its gap in the table shows it."
    )


def _masters(rows: list[dict[str, Any]]) -> str:
    hundred, two_hundred = find(rows, "cgbd", 100, 5), find(rows, "cgbd", 200, 5)
    thousand = find(rows, "cgbd", 1000, 8)
    return (
        f"`cgbd` with the MILP master takes {_seconds(hundred['seconds'])} for N = 100, m = 5, "
        f"{_seconds(two_hundred['seconds'])} for N = 200, m = 5, and "
        f"{_seconds(thousand['seconds'])} for N = 1,000, m = 8, {_times(thousand['ratio'])} times "
        "as long as `exact`."
    )


def _unproven(rows: list[dict[str, Any]]) -> list[str]:
    return [
        f"{_label(row)} did not prove N = {row['organizations']:,}, m = {row['levels']} in "
        f"{row['calls'] - row['certified']} of {row['calls']} calls, and said so: a gap of up to "
        f"{_small(row['largest_gap'])} was left. What it found differs from `exact` by "
        f"{_small(row['difference_from_exact'])}."
        for row in rows
        if row["certified"] < row["calls"]
    ]


def _enumeration(rows: list[dict[str, Any]]) -> str:
    brute, exact = find(rows, "brute force", 5, 8), find(rows, "exact", 5, 8)
    ten, eight = find(rows, "cgbd traversal", 10, 5), find(rows, "cgbd traversal", 8, 8)
    return (
        f"Brute force over 8^5 = 32,768 combinations takes {_seconds(brute['seconds'])}, `exact` "
        f"{_seconds(exact['seconds'])}. The paper's traversal, with valid cuts, takes "
        f"{_seconds(ten['seconds'])} and {ten['peak_mb']:.0f} MiB for 5^10 combinations, "
        f"{_seconds(eight['seconds'])} and {eight['peak_mb']:.0f} MiB for 8^8. One more "
        "organization multiplies both by m: above 20 million combinations `cgbd` refuses it."
    )


def _time_limit(rows: list[dict[str, Any]], limit: float) -> str:
    reached = [
        f"N = {row['organizations']:,}, m = {row['levels']}"
        for row in rows
        if "timelimit" in row["statuses"]
    ]
    if not reached:
        return f"SCIP never reached its limit of {limit:g} s."
    return f"SCIP reached its limit of {limit:g} s for {'; '.join(reached)}."


# --- the chart ---------------------------------------------------------------------------------


def chart(rows: list[dict[str, Any]], path: Path) -> None:
    """Draw time against N for m = 8, both axes logarithmic."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import FuncFormatter

    mpl.rcParams.update({"svg.hashsalt": NAME, "font.size": 11, "font.family": "DejaVu Sans"})
    figure, axes = plt.subplots(figsize=(8.4, 5.2), layout="constrained")
    for method, (colour, marker, line) in STYLES.items():
        some = [row for row in rows if row["method"] == method and row["levels"] == 8]
        x = [row["organizations"] for row in some]
        y = [row["seconds"] for row in some]
        label = LABELS.get(method, method)
        axes.plot(
            x, y, color=colour, marker=marker, linestyle=line or "none", markersize=7, label=label
        )
        axes.annotate(
            label,
            (x[-1], y[-1]),
            xytext=(9, RAISED.get(method, 0)),
            textcoords="offset points",
            color=colour,
            va="center",
            fontweight="bold",
        )
    axes.set(xscale="log", yscale="log", xlabel="organizations N", ylabel="time (seconds)")
    axes.set_title("Time to the proven maximum of the potential, m = 8 levels", loc="left")
    axes.set(xlim=(3.2, 6e6), ylim=(5e-4, None))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(which="major", color="#d0d0d0", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    """Write both again from the results that are kept."""
    import json

    write(json.loads((RESULTS / "solvers.json").read_text()))


if __name__ == "__main__":
    main()
