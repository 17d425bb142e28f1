"""One list of training options for ``train``, ``run`` and ``fit-accuracy``, and for the file."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
from tests.cli.command import run, strict_json
from tests.federation.hostile import NAMES, Hostile

import tradefl
from tradefl.cli.declaring import parameters_of
from tradefl.errors import InputError
from tradefl.federation import Plan, train
from tradefl.federation import training as training_module
from tradefl.federation.client import app as honest_app
from tradefl.federation.grid import quiet, run_in_process
from tradefl.training_document import terms_sha256, training_terms

FILE = Path(__file__).parents[2] / "examples" / "drug_discovery.toml"
# Not of a training: where its results go, and who signs them.
OF_TRAIN_ALONE = {
    "scheme", "output", "attestations", "keystore", "password_file", "contract", "rpc",
}  # fmt: skip
# A ladder of trainings on fractions has several seeds, no deadline, and no state to keep.
OF_PLEDGES = {"deadline", "seed", "backend", "ray", "checkpoint", "resume", "overwrite"}


def options_of(command: str) -> set[str]:
    home = command.replace("-", "_")
    function = getattr(importlib.import_module(f"tradefl.cli.{home}"), home)
    return {str(option.name) for option in parameters_of(function)}


def with_training(folder: Path, *lines: str) -> Path:
    path = folder / "agreed.toml"
    path.write_text("\n".join([FILE.read_text(), "[training]", *lines, ""]))
    return path


def test_the_commands_have_the_same_options() -> None:
    trained = options_of("train") - OF_TRAIN_ALONE
    assert trained <= options_of("run")
    assert trained - options_of("fit-accuracy") == OF_PLEDGES
    assert {"partition", "alpha", "validation_fraction", "proximal_mu"} <= trained


def test_the_file_decides_deadline_and_validation_where_the_command_does_not(
    tmp_path: Path,
) -> None:
    path = with_training(tmp_path, 'deadline = "off"', "validation_fraction = 0.25")
    ran = run("train", path, "--rounds", 1, "--json")
    assert ran.code == 0, ran.err
    document = strict_json(ran.out)
    assert document["settings"]["deadline"] == "off"
    assert document["settings"]["validation_fraction"] == 0.25
    assert document["validation"]["fraction"] == 0.25
    assert "not agreed" not in ran.err
    ran = run("train", path, "--rounds", 1, "--deadline", "model", "--validation-fraction", "0.1")
    for key in ("deadline: expected 'off'", "validation_fraction: expected 0.25"):
        assert key in ran.err
    ran = run("run", path, "--rounds", 1, "--deadline", "model")
    assert (ran.code, ran.out) == (2, "")
    assert "error: --deadline: expected 'off'" in ran.err


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('deadline = "never"', "training.deadline: expected 'model', 'wall' or 'off'"),
        ("validation_fraction = 1.0", "training.validation_fraction: expected"),
        ("validation_fraction = -0.1", "training.validation_fraction: expected"),
    ],
)
def test_bad_terms_of_the_file(tmp_path: Path, line: str, expected: str) -> None:
    ran = run("check", with_training(tmp_path, line))
    assert (ran.code, ran.out) == (2, "")
    assert expected in ran.err


def test_terms_that_are_left_open_are_in_nothing_that_is_signed(tmp_path: Path) -> None:
    # The hash of agreements that were signed before the keys existed stays what it was.
    open_terms = tradefl.load(with_training(tmp_path, "clip_norm = 1.0"))
    assert "deadline" not in training_terms(open_terms)
    agreed = tradefl.load(with_training(tmp_path, "clip_norm = 1.0", 'deadline = "model"'))
    assert training_terms(agreed)["deadline"] == "model"
    assert terms_sha256(agreed) != terms_sha256(open_terms)
    ran = run("agreement", agreed.source, "--json")
    assert ran.code == 0, ran.err
    assert strict_json(ran.out)["training"]["deadline"] == "model"


@pytest.mark.parametrize("command", ["train", "run", "fit-accuracy"])
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--alpha", "0.3"), "--alpha: has no effect with --partition iid"),
        (("--alpha", "0", "--partition", "dirichlet"), "--alpha: expected a number > 0"),
        (("--validation-fraction", "-1"), "--validation-fraction: expected 0 or more, below 1"),
        (("--validation-fraction", "nan"), "--validation-fraction: expected 0 or more, below 1"),
        (("--clip-norm", "-1"), "--clip-norm: expected a number >= 0"),
    ],
)
def test_bad_values(command: str, options: tuple[str, ...], expected: str) -> None:
    ran = run(command, FILE, *options)
    assert (ran.code, ran.out) == (2, "")
    assert f"error: {expected}" in ran.err


@pytest.mark.parametrize("command", ["train", "run"])
def test_a_cluster_for_a_training_in_this_process(command: str) -> None:
    ran = run(command, FILE, "--backend", "in-process", "--ray", "auto")
    assert (ran.code, ran.out) == (2, "")
    assert "error: --ray: needs --backend ray" in ran.err


def test_fit_accuracy_says_what_it_trained_with() -> None:
    few = ("--rounds", 1, "--seeds", 1, "--fractions", "0.05,0.3,1", "--json")
    plain = strict_json(run("fit-accuracy", *few).out)
    assert plain["settings"]["validation_fraction"] == 0.0
    assert plain["settings"]["deadline"] == "off"
    judged = strict_json(run("fit-accuracy", *few, "--validation-fraction", "0.5").out)
    assert judged["settings"]["validation_fraction"] == 0.5
    # Of other test samples.
    assert judged["points"] != plain["points"]
    clipped = run("fit-accuracy", *few, "--clip-norm", "1e-3")
    assert clipped.code == 2 or strict_json(clipped.out)["points"] != plain["points"]


def test_fit_accuracy_of_drawn_data() -> None:
    pytest.importorskip("flwr_datasets")
    few = ("--rounds", 1, "--seeds", 2, "--fractions", "0.05,0.3,1", "--json")
    ran = run("fit-accuracy", *few, "--partition", "dirichlet", "--alpha", "0.3")
    assert ran.code == 0, ran.err
    assert ran.err.count("what each holds is drawn (Dirichlet)") == 1
    points = strict_json(ran.out)["points"]
    assert len(points) == 6
    assert {point["samples"] for point in points if point["fraction"] == 1.0} == {1438}


def test_nothing_usable_is_on_the_last_line_and_in_the_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_module, "client_app", Hostile("nan", NAMES))
    monkeypatch.setattr(training_module, "quiet", quiet)
    path = tmp_path / "training.json"
    ran = run("train", FILE, "--rounds", 1, "-o", path)
    assert ran.code == 1
    document = strict_json(path.read_text())
    assert {entry["outcome"] for entry in document["entries"]} == {"rejected"}
    assert document["diverged"].startswith("no update was ever usable")
    assert ran.err.splitlines()[-1].endswith(document["diverged"])
    # A document that does not say so contradicts its entries.
    path.write_text(json.dumps({**document, "diverged": None}))
    ran = run("explain", FILE, "--profile", path)
    assert (ran.code, ran.out) == (2, "")
    assert f"error: {path}: diverged" in ran.err


def test_own_data_needs_a_folder_for_each_organization(tmp_path: Path) -> None:
    consortium = tradefl.load(FILE)
    with pytest.raises(InputError, match=r"partition: expected iid or dirichlet.*data-dir"):
        train(consortium, plan=Plan(partition="own", rounds=1))
    # Partitions of one machine would all read the server's folder.
    plan = Plan(
        consortium=str(FILE), partition="own", data_dir=str(tmp_path), rounds=1, join_seconds=0.0
    )
    server = training_module.make_server_app(plan)
    nodes = [{"partition-id": k} for k in range(10)]
    with quiet(), pytest.raises(InputError, match="no organization takes part") as error:
        run_in_process(server, honest_app, nodes, {})
    assert "node config: data-dir" in str(error.value)
    # A folder of one's own that lacks the data is no reason to train on what is embedded.
    named = [{"organization": name, "data-dir": str(tmp_path)} for name in NAMES]
    with quiet(), pytest.raises(InputError, match="no organization takes part") as error:
        run_in_process(server, honest_app, named, {})
    assert "digits" in str(error.value)


def test_a_folder_without_the_embedded_data_is_told(tmp_path: Path) -> None:
    ran = run("train", FILE, "--rounds", 1, "--data-dir", tmp_path)
    assert ran.code == 0, ran.err
    assert f"{tmp_path} holds no 'digits': the embedded one is used" in ran.err


def test_a_solution_says_by_which_scheme_it_is() -> None:
    consortium = tradefl.load(FILE)
    solution = tradefl.solve(consortium, method="dbr")
    trained = train(consortium, solution, Plan(rounds=1))
    assert trained.plan.scheme == "dbr"
    with pytest.raises(InputError, match="the solution is by dbr"):
        train(consortium, solution, Plan(rounds=1), scheme="exact")


def test_run_keeps_its_rounds_and_resumes(tmp_path: Path) -> None:
    kept = tmp_path / "kept.npz"
    ran = run("run", FILE, "--rounds", 1, "--checkpoint", kept, "--json")
    assert ran.code == 0, ran.err
    ran = run("run", FILE, "--rounds", 2, "--checkpoint", kept, "--json")
    assert ran.code == 2
    assert f"error: {kept}: there is a checkpoint: `--resume`" in ran.err.replace(
        "--resume continues", "`--resume`"
    )
    ran = run("run", FILE, "--rounds", 2, "--checkpoint", kept, "--resume", "--json")
    assert ran.code == 0, ran.err
    assert len(strict_json(ran.out)["training"]["accuracy"]) == 2
