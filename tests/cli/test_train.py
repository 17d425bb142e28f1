"""``tradefl train``: what it prints and writes, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.command import Ran, run, run_process, strict_json

ROOT = Path(__file__).parents[2]
FILE = ROOT / "examples" / "drug_discovery.toml"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ran]:
    path = tmp_path_factory.mktemp("train") / "training.json"
    return path, run("train", FILE, "--rounds", 2, "-o", path)


def test_it_prints_every_round_and_everybody(trained: tuple[Path, Ran]) -> None:
    _, ran = trained
    assert ran.code == 0, ran.err
    document = json.loads(trained[0].read_text())
    for number, accuracy in enumerate(document["accuracy"], 1):
        assert f"round {number}/2: accuracy {accuracy:.4f}" in ran.err
        assert any(
            line.split()[:2] == [str(number), f"{accuracy:.4f}"] for line in ran.out.splitlines()
        )
    for organization in document["organizations"]:
        assert any(
            line.split()[:3]
            == [
                organization["name"],
                str(organization["samples_held"]),
                str(organization["samples_used"]),
            ]
            for line in ran.out.splitlines()
        )
    assert "scaled down in proportion" in ran.err


def test_the_document_is_that_of_the_interface(trained: tuple[Path, Ran]) -> None:
    document = json.loads(trained[0].read_text())
    assert document["schema"] == "tradefl/training/1"
    assert (document["engine"], document["rounds"]) == ("flower", 2)
    assert (document["model"], document["data"]) == ("logistic", "digits")
    assert len(document["accuracy"]) == len(document["loss"]) == 2
    assert document["accuracy"][-1] > document["initial_accuracy"]
    for organization in document["organizations"]:
        assert (
            organization["measured_fraction"]
            == organization["samples_used"] / organization["samples_held"]
        )
        assert organization["measured_fraction"] >= organization["pledged_fraction"]
        assert organization["seconds"] > 0.0
    weights = document["aggregation_weights"]
    used = {
        organization["name"]: organization["samples_used"]
        for organization in document["organizations"]
    }
    assert weights == {name: n * 2 / (sum(used.values()) * 2) for name, n in used.items()}
    assert len(document["entries"]) == 20


def test_json_is_the_same_document(trained: tuple[Path, Ran]) -> None:
    path, _ = trained
    ran = run("train", FILE, "--rounds", 2, "--json")
    again, first = ran.json, json.loads(path.read_text())
    for document in (again, first):
        del document["runtime_seconds"]
        for entry in (*document["organizations"], *document["entries"]):
            del entry["seconds"]
    assert again == first


def test_resuming_ends_where_one_run_would(trained: tuple[Path, Ran], tmp_path: Path) -> None:
    path = tmp_path / "training.json"
    assert run("train", FILE, "--rounds", 1, "-o", path).code == 0
    assert path.with_suffix(".checkpoint").exists()
    ran = run("train", FILE, "--rounds", 2, "-o", path, "--resume")
    assert ran.code == 0, ran.err
    assert "round 1/2" not in ran.err
    resumed, whole = json.loads(path.read_text()), json.loads(trained[0].read_text())
    assert resumed["accuracy"] == whole["accuracy"]
    assert [entry["update_sha256"] for entry in resumed["entries"]] == [
        entry["update_sha256"] for entry in whole["entries"]
    ]
    refused = run("train", FILE, "--rounds", 2, "-o", path, "--resume", "--seed", 1)
    assert refused.code == 2
    assert f"{path.with_suffix('.checkpoint')}: seed" in refused.err
    assert json.loads(path.read_text()) == resumed


def test_it_settles_what_was_measured(trained: tuple[Path, Ran]) -> None:
    path, _ = trained
    measured = {
        organization["name"]: round(organization["measured_fraction"] * 1e9)
        for organization in json.loads(path.read_text())["organizations"]
    }
    ran = run("settle", FILE, "--profile", path, "--json")
    assert ran.code == 0, ran.err
    assert {
        organization["name"]: organization["data_ppb"] for organization in ran.json["organizations"]
    } == measured
    assert ran.json["audit"]["agrees"]


def test_who_was_measured_below_d_min_is_settled_as_silent(
    trained: tuple[Path, Ran], tmp_path: Path
) -> None:
    document = json.loads(trained[0].read_text())
    # Kappa delivers a little in each round; its entries say the same as its figures.
    # What each holds is drawn, so the file does not say how many samples that are.
    document["settings"]["partition"] = "dirichlet"
    kappa = document["organizations"][-1]
    kappa |= {"samples_held": 200, "samples_used": 1, "measured_fraction": 0.005}
    for element in document["entries"]:
        if element["organization"] == "Kappa":
            element["samples_used"] = 1
    total = sum(element["samples_used"] for element in document["entries"])
    document["aggregation_weights"] = {
        organization["name"]: sum(
            element["samples_used"]
            for element in document["entries"]
            if element["organization"] == organization["name"]
        )
        / total
        for organization in document["organizations"]
    }
    for number in {entry["round"] for entry in document["entries"]}:
        entries = [entry for entry in document["entries"] if entry["round"] == number]
        used = sum(entry["samples_used"] for entry in entries)
        for entry in entries:
            entry["weight"] = entry["samples_used"] / used
    path = tmp_path / "low.json"
    path.write_text(json.dumps(document))
    ran = run("settle", FILE, "--profile", path, "--json")
    assert ran.code == 0, ran.err
    assert ran.json["organizations"][-1]["data_ppb"] == 0
    assert "Kappa: the measured share 0.005 is below D_min 0.01" in ran.err


def test_explain_itemizes_what_is_settled(trained: tuple[Path, Ran]) -> None:
    path, _ = trained
    ran = run("explain", FILE, "--profile", path, "--organization", "Beta", "--wei", "--json")
    assert ran.code == 0, ran.err
    settled = run("settle", FILE, "--profile", path, "--json").json
    beta = next(
        organization for organization in settled["organizations"] if organization["name"] == "Beta"
    )
    [statement] = ran.json["statements"]
    assert statement["wei"]["redistribution_wei"] == beta["redistribution_wei"]


@pytest.mark.parametrize(
    ("options", "place", "what"),
    [
        (["--data", "digit"], "--data", "did you mean 'digits'"),
        (["--data", "cifar10", "--data-dir", "."], "--data-dir .", "cifar10.npz"),
        (["--model", "logistics"], "--model", "did you mean 'logistic'"),
        (["--rounds", 0], "--rounds", "from 1 to 1,000,000"),
        (["--lr", "-1"], "--lr", "> 0"),
        (["--lr", "nan"], "--lr", "> 0"),
        (["--lr", "0"], "--lr", "> 0"),
        (["-o", "x.checkpoint"], "--checkpoint", "the place of --output too"),
        (["--batch-size", 0, "--local-epochs", -1], "--batch-size", "from 1 to 1,000,000"),
        (["--width", 0], "--width", "> 0"),
        (["--seed", -1], "--seed", "from 0 to 2^63"),
        (["--clip-norm", -1], "--clip-norm", ">= 0"),
        (["--proximal-mu", "nan"], "--proximal-mu", ">= 0"),
        (["--proximal-mu", 0.5], "--proximal-mu", "no effect with fedavg, only with fedprox"),
        (["--assumed-hostile", 3], "--assumed-hostile", "no effect with fedavg"),
        (["--validation-fraction", 1], "--validation-fraction", "below 1"),
        (
            ["--aggregation", "krum", "--assumed-hostile", 4],
            "--assumed-hostile",
            "krum bears 3 hostile organizations of 10 at most, got 4",
        ),
        (["--overwrite"], "--overwrite", "--checkpoint"),
        (["--alpha", "inf", "--partition", "dirichlet"], "--alpha", "> 0"),
        (["--resume"], "--resume", "--checkpoint"),
        (["--resume", "--checkpoint", "none"], "none", "no such file"),
        (["-o", "nowhere/training.json"], "nowhere/training.json", "no such folder"),
        (["-o", "."], ".", "is a folder"),
        (["--device", "tpu"], "--device", "tpu"),
        (["--attestations", "a.json"], "--output", "is required"),
        (["--keystore", "keys"], "--keystore", "needs --attestations"),
    ],
)
def test_bad_options_are_refused(
    options: list[object], place: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = run("train", FILE, *options)
    assert (ran.code, ran.out) == (2, ""), ran
    assert any(
        line.startswith(f"error: {place}: ") and what in line for line in ran.err.splitlines()
    ), ran.err
    assert list(tmp_path.iterdir()) == []


def test_a_consortium_that_is_none_is_refused_before_anything(tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("name = 3\n")
    ran = run("train", bad)
    assert (ran.code, ran.out) == (2, "")
    assert f"error: {bad}: name" in ran.err


def test_a_diverged_training_is_told_and_is_json(tmp_path: Path) -> None:
    path = tmp_path / "training.json"
    ran = run("train", FILE, "--rounds", 1, "--lr", "1e38", "-o", path)
    assert ran.code == 1, ran.err
    assert ran.err.splitlines()[-1].startswith("note: the training diverged: no round could be")
    document = strict_json(path.read_text())
    assert document["diverged"] in ran.err
    assert {entry["outcome"] for entry in document["entries"]} == {"rolled back"}
    assert all("the round was rolled back" in entry["reason"] for entry in document["entries"])
    # The learning rate is nobody's fault: everybody delivered.
    for organization in document["organizations"]:
        assert organization["measured_fraction"] >= organization["pledged_fraction"] * (1 - 1e-12)


def test_a_checkpoint_is_not_replaced_unasked(trained: tuple[Path, Ran], tmp_path: Path) -> None:
    path = tmp_path / "training.json"
    state = path.with_suffix(".checkpoint")
    state.write_bytes(trained[0].with_suffix(".checkpoint").read_bytes())
    before = state.read_bytes()
    ran = run("train", FILE, "--rounds", 2, "-o", path)
    assert (ran.code, ran.out) == (2, "")
    assert f"error: {state}: there is a checkpoint: --resume continues it" in ran.err
    assert state.read_bytes() == before
    assert not path.exists()
    assert run("train", FILE, "--rounds", 2, "-o", path, "--resume").code == 0
    assert run("train", FILE, "--rounds", 1, "-o", path, "--overwrite").code == 0


def test_the_aggregation_is_an_option_or_the_files(tmp_path: Path) -> None:
    path = tmp_path / "agreed.toml"
    path.write_text(FILE.read_text() + '\n[training]\naggregation = "trimmed-mean"\n')
    agreed = run("train", path, "--rounds", 1, "--json").json
    assert agreed["settings"]["aggregation"] == "trimmed-mean"
    assert agreed["aggregation_weights"] is None
    ran = run("train", path, "--rounds", 1, "--json", "--aggregation", "fedavg")
    said = ran.json
    # It may be tried, but not settled, because the partners have signed another.
    assert "note: aggregation: expected 'trimmed-mean', as [training] of" in ran.err
    done = tmp_path / "other.json"
    done.write_text(json.dumps(said))
    ran = run("settle", path, "--profile", done)
    assert (ran.code, ran.out) == (2, "")
    assert f"error: {done}: settings.aggregation: expected 'trimmed-mean'" in ran.err
    ran = run("run", path, "--rounds", 1, "--aggregation", "fedavg")
    assert (ran.code, ran.out) == (2, "")
    assert "error: --aggregation: expected 'trimmed-mean', as [training] of" in ran.err
    assert said["settings"]["aggregation"] == "fedavg"
    assert said["accuracy"] != agreed["accuracy"]
    path.write_text(FILE.read_text() + '\n[training]\naggregation = "median"\n')
    ran = run("train", path)
    assert ran.code == 2
    assert f"error: {path}: training.aggregation: expected 'fedavg'" in ran.err


def test_a_document_that_contradicts_itself_is_not_settled(
    trained: tuple[Path, Ran], tmp_path: Path
) -> None:
    document = json.loads(trained[0].read_text())
    document["organizations"][0]["measured_fraction"] = 1.0
    path = tmp_path / "forged.json"
    path.write_text(json.dumps(document))
    for command in ("settle", "explain"):
        ran = run(command, FILE, "--profile", path)
        assert (ran.code, ran.out) == (2, "")
        assert f"error: {path}: organizations[0].measured_fraction: the entries give" in ran.err


def test_a_document_of_other_terms_is_not_settled(
    trained: tuple[Path, Ran], tmp_path: Path
) -> None:
    other = tmp_path / "other.toml"
    text = FILE.read_text()
    [line] = [
        splitline for splitline in text.splitlines() if splitline.startswith("incentive_intensity")
    ]
    other.write_text(text.replace(line, "incentive_intensity = 5e-6"))
    ran = run("settle", other, "--profile", trained[0])
    assert (ran.code, ran.out) == (2, "")
    assert "terms_sha256" in ran.err
    assert "trained under other terms" in ran.err


def test_tos_ignores_the_deadline_unless_told(tmp_path: Path) -> None:
    whole = run("train", FILE, "--rounds", 1, "--scheme", "tos", "--json").json
    assert {entry["outcome"] for entry in whole["entries"]} == {"aggregated"}
    assert [organization["measured_fraction"] for organization in whole["organizations"]] == [
        1.0
    ] * 10
    slow = ROOT / "examples" / "hospitals.toml"
    held = run(
        "train", slow, "--rounds", 1, "--scheme", "tos", "--deadline", "model", "--json"
    ).json
    late = [entry for entry in held["entries"] if entry["outcome"] == "late"]
    assert late
    assert all("Eq. (2)" in entry["reason"] for entry in late)


def test_ray_gives_the_same_bits(trained: tuple[Path, Ran]) -> None:
    first = json.loads(trained[0].read_text())
    ran = run_process("train", FILE, "--rounds", 2, "--backend", "ray", "--json", timeout=300.0)
    assert ran.code == 0, ran.err
    assert ran.json["accuracy"] == first["accuracy"]
    assert ran.json["loss"] == first["loss"]
    assert [entry["update_sha256"] for entry in ran.json["entries"]] == [
        entry["update_sha256"] for entry in first["entries"]
    ]
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("command", ["train", "run", "fit-accuracy"])
def test_how_updates_become_a_model_is_set_alike_in_every_command(command):
    page = run(command, "--help").out
    for flag in ("--aggregation", "--proximal-mu", "--clip-norm", "--assumed-hostile"):
        assert flag in page
    ran = run(command, FILE, "--aggregation", "fedprox", "--proximal-mu", "-1")
    assert (ran.code, ran.out) == (2, "")
    assert "error: --proximal-mu: expected a number >= 0" in ran.err
    ran = run(command, FILE, "--proximal-mu", 0.7)
    assert (ran.code, ran.out) == (2, "")
    assert "error: --proximal-mu: has no effect with fedavg" in ran.err
