"""Negotiations between processes: ``tradefl negotiate FILE --processes`` on anvil, by size.

Table II's ranges, as in ``examples/paper.toml``. Every organization is a process of its own and
sends its own transactions. Moves, messages and gas follow from the consortium alone; the wall time
is that of the whole command, with the deployment, the deposits and the start of every process.
anvil (``npm ci`` in ``contracts``) is started anew for each run, with that run's chain only.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

import tradefl
from benchmarks.measure import keep, process, seconds
from tradefl.settlement.chains import RpcChain
from tradefl.settlement.contract import topic

ANVIL = Path(__file__).parents[1] / "contracts" / "tools" / "anvil"
SIZES = (5, 10, 25)
SEEDS = (1, 2, 3)
LEVELS = 5


def main() -> dict[str, Any]:
    """Measure three draws of each size; the median of the wall times, and their range."""
    result: dict[str, Any] = {}
    for size in SIZES:
        runs = [measured(size, seed) for seed in SEEDS]
        walls = [run.pop("seconds") for run in runs]
        result[f"{size} organizations"] = {
            **{key: [run[key] for run in runs] for key in runs[0]},
            "seconds": statistics.median(walls),
            "seconds_from_to": [min(walls), max(walls)],
            "load_average": os.getloadavg()[0],
        }
    keep("negotiation", result)
    return result


def measured(size: int, seed: int) -> dict[str, Any]:
    """Return the figures of one negotiation; it must end where ``dbr`` ends."""
    with tempfile.TemporaryDirectory() as folder, anvil() as url:
        file, output = Path(folder) / "consortium.toml", Path(folder) / "solution.json"
        file.write_text(tomli_w.dumps(drawn(size, seed)))
        command = [sys.executable, "-m", "tradefl", "negotiate", str(file), "--processes"]
        command += ["--rpc", url, "--output", str(output)]
        wall = seconds(lambda: process(command))
        solution = json.loads(output.read_text())
        require_same(solution, tradefl.solve(tradefl.load(file), "dbr"))
        gas = proposals_gas(url)
    return {
        "moves": solution["iterations"],
        "messages": len(gas),
        "gas": sum(gas),
        "gas_from_to": [min(gas), max(gas)],
        "seconds": wall,
    }


def drawn(size: int, seed: int) -> dict[str, Any]:
    """Return a consortium file of Table II's ranges with the calibration of the example.

    ``rescale`` makes every ``z_i`` positive, as the paper does where it must.
    """
    draw = np.random.default_rng(seed)
    profitability = draw.uniform(500.0, 2500.0, size).round()
    bits = draw.uniform(15e9, 25e9, size).round(-8)
    samples = draw.integers(1000, 2001, size)
    fastest = draw.uniform(3e9, 5e9, size).round(-8)
    rho = draw.normal(0.05, 0.01, (size, size)).clip(0.0, 1.0).round(4)
    names = [f"o{i + 1}" for i in range(size)]
    return {
        "name": f"table-ii-{size}-{seed}",
        "mechanism": {
            "incentive_intensity": 5.12e-9,
            "compute_weight": 1.6,
            "overhead_weight": 0.185,
            "min_data_fraction": 0.01,
            "deadline_seconds": 20.0,
        },
        "energy": {"capacitance": 1e-27, "download_watts": 0.1, "upload_watts": 0.1},
        "accuracy": {
            "model": "sqrt-loss",
            "epochs": 5,
            "untrained_loss": 0.79,
            "measure": "bits",
            "unit": 1e9,
        },
        "competition": {
            "rescale": True,
            "pairs": [
                [names[i], names[j], float(rho[i, j])]
                for i in range(size)
                for j in range(i + 1, size)
            ],
        },
        "organization": [
            {
                "name": names[i],
                "profitability": float(profitability[i]),
                "data_bits": float(bits[i]),
                "samples": int(samples[i]),
                "cycles_per_bit": 2.0,
                "cpu_levels_hz": [float(fastest[i] * k / LEVELS) for k in range(1, LEVELS + 1)],
                "download_seconds": 1.0,
                "upload_seconds": 1.0,
            }
            for i in range(size)
        ],
    }


def require_same(negotiated: dict[str, Any], solution: tradefl.Solution) -> None:
    """Fail unless a negotiation has ended where the library ends, to the proposals' digits."""
    ended = [(row["data_fraction"], row["cpu_hz"]) for row in negotiated["organizations"]]
    d, f = (np.array(column) for column in zip(*ended, strict=True))
    same = (
        np.abs(d - solution.profile.data_fraction).max() <= 1e-9
        and np.array_equal(f, solution.profile.cpu_hz)
        and negotiated["status"] == "equilibrium"
    )
    if not same:
        raise RuntimeError("the negotiation has not ended where dbr ends")


def proposals_gas(url: str) -> list[int]:
    """Return the gas of every proposal on a chain, from the receipts."""
    chain = RpcChain(url)
    receipts = [
        chain.receipt(event.transaction) for event in chain.events(None, 0, [topic("Proposed")])
    ]
    return [receipt.gas for receipt in receipts if receipt is not None]


@contextlib.contextmanager
def anvil() -> Iterator[str]:
    """Run anvil on a free port; yield its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    # A session of its own: the script in front of anvil does not hand a signal on.
    server = subprocess.Popen([str(ANVIL), "--silent", "--port", str(port)], start_new_session=True)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()
