"""The page and the chart of the solver benchmark, written from its results alone."""

from __future__ import annotations

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
LABELS = {"cgbd": "cgbd (milp)", "cgbd traversal": "cgbd (traversal)"}

PAGE = """\
# Solver benchmark

Written, with its chart, by

```console
$ python -m benchmarks solvers
```

Do not edit: the figures come from the results of the last run, kept in
[`benchmarks/results/solvers.json`](../../benchmarks/results/solvers.json). The run took {minutes} minutes on this
machine: {processor}, {cores} cores, Python {python}, NumPy {numpy}, numba {numba}; load average {load_before} before and
{load_after} after.

![Time against the number of organizations, both logarithmic](solver-benchmark.svg)

## What it shows

{findings}

## What was asked

| | asked | measured | holds |
|---|---|---|---|
{targets}

## The table

{table}

- **time**: until the answer is found and proven; median over calls, then over seeds. For `tradefl` it is
  `runtime_seconds`, compiled code warm, without the certificate; for SCIP it is `optimize` alone, without building the
  model; brute force proves by having tried everything.
- **whole call**: for `tradefl` with the certificate, that is everybody's regret; for SCIP with building the model.
- **slowest**: the longest of the times.
- **over exact**: the method's time divided by that of `exact`. Each call of a peer was divided by the median of
  {exact_calls} calls of `exact` just before it; median over calls, then over seeds. In brackets the same for whole calls.
- **gap**: (upper bound - potential) / upper bound, the largest of the calls. The potential is recomputed in double
  precision from the contributions that the method returned. SCIP's bound is as exact as its default tolerances.
- **differs**: by how much the potential of `exact` is above the method's, relative, where the difference is largest.
- **memory**: the peak of a process that builds the consortium and solves it once (`exact` alone: six times). A process
  that only imports everything takes {bare} MiB.
- **proven**: in how many calls the method proved its answer.

## Settings

- Instances: `benchmarks.consortia.sector_game(N, m, seed)`: the ranges of the paper's Table II, sectors of about ten
  rivals, data units scaled by 10/N so that Omega stays in the range of ten organizations. Seeds {seeds}; seed 0 for
  memory, and for `exact` from 10,000 organizations on.
- `exact`: {exact}; NumPy below 50,000 strategies (N m), compiled loops on all cores from there on.
- `cgbd`: {cgbd}. `cgbd traversal`: {traversal}.
- SCIP: {scip}; otherwise its defaults. It gets the disaggregated form: binaries y_il, data d_il between D_min y_il and
  h_il y_il, and one nonlinear constraint, t >= (G Omega)^(-1/2), which is convex.
- Brute force: {brute_force}.

## What to keep in mind

- Other jobs share this machine and its {cores} cores. Trust ratios, measured in turn, more than seconds, and neither to better than
  a factor of about two.
- One family of instances, one accuracy model (`sqrt-loss`), one γ. Nearly equal organizations, or a γ at which many
  organizations are undecided, may cost every method more.
- SCIP is a general solver that knows nothing of the structure of this problem, and runs on one thread here. With
  other settings, or another formulation, it may be faster.
- The benchmark stops with an error if a proven potential differs from that of `exact` by more than {agreement} relative.
"""


def write(result: dict[str, Any]) -> None:
    """Write the page and the chart; ``result`` is what stands in ``results/solvers.json``."""
    rows, settings, machine = result["table"], result["settings"], result["machine"]
    scip = settings["SCIP"]
    shown = [f"`{key} = {value:g}`" for key, value in scip.items() if key not in NOT_PARAMETERS]
    page = PAGE.format(
        minutes=f"{result['benchmark_seconds'] / 60:.1f}",
        **machine,
        load_before=f"{result['load']['before'][0]:.1f}",
        load_after=f"{result['load']['after'][0]:.1f}",
        findings="\n".join(f"- {line}" for line in _findings(result)),
        targets="\n".join(_target(one) for one in result["targets"]),
        table=_table(rows),
        exact_calls=settings["exact_calls"],
        bare=f"{result['bare_process_mb']:.0f}",
        seeds=", ".join(str(seed) for seed in settings["seeds"]),
        exact=settings["exact"],
        cgbd=settings["cgbd"],
        traversal=settings["cgbd traversal"],
        scip=f"{scip['version']}, {', '.join(shown)}, output {scip['output']}",
        brute_force=settings["brute force"],
        agreement=f"{settings['agreement']:g}",
    )
    REFERENCE.mkdir(parents=True, exist_ok=True)
    (REFERENCE / f"{NAME}.md").write_text(page, encoding="utf-8")
    chart(rows, REFERENCE / f"{NAME}.svg")


NOT_PARAMETERS = ("version", "output")


def find(rows: list[dict[str, Any]], method: str, size: int, levels: int) -> dict[str, Any]:
    """Return the row of a method for N organizations with m levels."""
    key = (method, size, levels)
    return next(row for row in rows if (row["method"], row["organizations"], row["levels"]) == key)


# --- the text ----------------------------------------------------------------------------------


def _seconds(value: float) -> str:
    if value < 0.9995e-3:
        return f"{value * 1e6:.3g} µs"
    return f"{value * 1e3:.3g} ms" if value < 0.9995 else f"{value:.3g} s"


def _times(value: float) -> str:
    return f"{value:,.2g}" if value < 10.0 else f"{float(f'{value:.2g}'):,.0f}"


def _small(value: float | None) -> str:
    if value is None:
        return "-"
    return "0" if value == 0.0 else f"{value:.0e}".replace("e-0", "e-")


def _table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| N | m | method | time | whole call | slowest | over exact | gap | differs | memory | proven |",
        "|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        over, differs = "1", "-"
        if row["method"] != "exact":
            over = f"{_times(row['ratio'])} ({_times(row['ratio_of_whole_calls'])})"
            differs = _small(row["difference_from_exact"])
        cells = (
            f"{row['organizations']:,}",
            row["levels"],
            LABELS.get(row["method"], row["method"]),
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
        sign, measured = "at least", f"{one['measured']:.0f} times"
        limit = f"{one['limit']:g} times as fast"
    elif one["unit"] == "relative":
        measured, limit = _small(one["measured"]), f"{one['limit']:g}"
    elif one["unit"] == "s":
        measured, limit = _seconds(one["measured"]), f"{one['limit']:g} s"
    else:
        measured, limit = f"{one['measured']:.0f} MiB", f"{one['limit']:.0f} MiB (1 GB)"
    return f"| {one['what']} | {sign} {limit} | {measured} | {'yes' if one['holds'] else 'no'} |"


def _findings(result: dict[str, Any]) -> list[str]:
    rows = result["table"]
    scip, cgbd = find(rows, "SCIP", 1000, 8), find(rows, "cgbd", 1000, 8)
    exact, million = find(rows, "exact", 1000, 8), find(rows, "exact", 1_000_000, 8)
    small, brute = find(rows, "exact", 5, 8), find(rows, "brute force", 5, 8)
    ten = find(rows, "cgbd traversal", 10, 5)
    eight = find(rows, "cgbd traversal", 8, 8)
    differences = result["largest_difference_from_exact"]
    claimed = max(
        row["largest_error_of_claim"] for row in rows if row["largest_error_of_claim"] is not None
    )
    limited = [row for row in rows if "timelimit" in row["statuses"]]
    limit = result["settings"]["SCIP"]["limits/time"]
    cut = (
        f"SCIP reached its limit of {limit:g} s at N = "
        + ", ".join(f"{row['organizations']:,}" for row in limited)
        if limited
        else f"SCIP never reached its limit of {limit:g} s"
    )
    million_growth = million["seconds"] / find(rows, "exact", 100_000, 8)["seconds"]
    per_million = million["seconds"] / 8e6 * 1e9
    return [
        f"For 1,000 organizations with 8 levels `exact` takes {_seconds(exact['seconds'])}, SCIP "
        f"{_seconds(scip['seconds'])}: {_times(scip['ratio'])} times as long in the same run. Whole calls, "
        f"with a certificate here and building the model there: {_times(scip['ratio_of_whole_calls'])} times.",
        f"For a million organizations `exact` takes {_seconds(million['seconds'])}, "
        f"{_seconds(million['call_seconds'])} with the certificate, and {million['peak_mb']:.0f} MiB; the "
        f"gap it proves is {_small(million['largest_gap'])}. From 100,000 to a million its time grows "
        f"{million_growth:.1f}-fold: {per_million:.0f} ns for each organization and level. The first call of a "
        f"process took {_seconds(million['first_call_seconds'])}.",
        "All methods find the same maximum. The largest relative difference from `exact` is "
        + ", ".join(
            f"{_small(value)} for {LABELS.get(method, method)}"
            for method, value in differences.items()
        )
        + f". The objective value that SCIP itself reports is off by up to {_small(claimed)}: it may break "
        "constraints by its default tolerance of 1e-6. Its contributions are compared, and they are better than that.",
        f"`cgbd` with the MILP master proves N = 100, m = 5 in {_seconds(find(rows, 'cgbd', 100, 5)['seconds'])}, "
        f"N = 200, m = 5 in {_seconds(find(rows, 'cgbd', 200, 5)['seconds'])} and N = 1,000, m = 8 in "
        f"{_seconds(cgbd['seconds'])}, {_times(cgbd['ratio'])} times as long as `exact`.",
        f"The paper's traversal takes {_seconds(ten['seconds'])} and {ten['peak_mb']:.0f} MiB for 5^10 combinations, "
        f"{_seconds(eight['seconds'])} and {eight['peak_mb']:.0f} MiB for 8^8. One more organization multiplies both "
        "by m, so it ends there: `cgbd` refuses more than 20 million combinations.",
        f"Brute force over 8^5 combinations takes {_seconds(brute['seconds'])}, {_times(brute['ratio'])} times as long as "
        f"`exact`, which needs {_seconds(small['seconds'])}.",
        f"{cut}.",
    ]


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
            xytext=(9, 0),
            textcoords="offset points",
            color=colour,
            va="center",
            fontweight="bold",
        )
    axes.set(xscale="log", yscale="log", xlabel="organizations N", ylabel="time (seconds)")
    axes.set_title("Time to the proven maximum of the potential, m = 8 levels", loc="left")
    axes.set_xlim(3.2, 6e6)
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
