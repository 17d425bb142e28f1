"""Training on a GPU: it repeats itself, and agrees with the processor.

Every test is skipped where torch finds no GPU; all device-free properties are in test_models.py.
"""

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.federation.test_models import (
    COLOUR,
    DIGITS,
    GREY,
    assert_same,
    differ,
    model_and_images,
    training,
)

from tradefl.federation.models import TORCH_MODELS
from tradefl.federation.models.torch_models import torch_device

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU")

EXAMPLE = Path(__file__).parents[2] / "examples" / "hospitals.toml"


def test_names_of_devices():
    assert torch_device("cuda") == torch_device("cuda:0") == torch.device("cuda", 0)
    assert torch_device("auto") == torch.device("cuda", 0)


@pytest.mark.parametrize("inputs", [GREY, COLOUR])
@pytest.mark.parametrize("name", TORCH_MODELS)
def test_the_start_is_the_processors(name, inputs):
    model, x, y = model_and_images(name, inputs, device="cuda")
    other, _, _ = model_and_images(name, inputs, device="cpu")
    start = model.initial(3)
    assert_same(start, other.initial(3))
    loss, _ = model.evaluate(start, x, y)
    assert loss == pytest.approx(other.evaluate(start, x, y)[0], rel=1e-3)


@pytest.mark.parametrize("name", TORCH_MODELS)
def test_training_repeats_to_the_bit(name):
    how = training(epochs=2, batch_size=8, proximal_mu=0.1)
    trained = []
    for _ in range(2):
        model, x, y = model_and_images(name, COLOUR, count=48, device="cuda")
        trained.append(model.train(model.initial(0), x, y, how))
    assert_same(trained[0][0], trained[1][0])
    assert trained[0][1] == trained[1][1]
    assert differ(trained[0][0], model.initial(0))


@pytest.mark.parametrize("name", [name for name in TORCH_MODELS if name != "alexnet"])
def test_a_step_is_the_processors(name):
    # alexnet drops at random, and a GPU draws its own numbers.
    how = training(batch_size=8, learning_rate=0.01)
    results = []
    for device in ("cuda", "cpu"):
        model, x, y = model_and_images(name, GREY, device=device)
        results.append(model.train(model.initial(0), x, y, how))
    (on_gpu, loss), (on_cpu, other) = results
    assert loss == pytest.approx(other, rel=1e-3)
    start = model.initial(0)
    step = np.concatenate([(on_cpu[key] - start[key]).ravel() for key in start])
    error = np.concatenate([(on_gpu[key] - on_cpu[key]).ravel() for key in start])
    assert np.linalg.norm(error) < 1e-3 * np.linalg.norm(step)


def test_a_gpus_random_numbers_are_left_alone():
    model, x, y = model_and_images("alexnet", DIGITS, device="cuda")
    before = torch.cuda.get_rng_state(0), torch.get_rng_state()
    model.train(model.initial(0), x, y, training())
    assert torch.equal(before[0], torch.cuda.get_rng_state(0))
    assert torch.equal(before[1], torch.get_rng_state())


def test_rounds_leave_no_memory_behind():
    model, x, y = model_and_images("cnn", DIGITS, count=32, device="cuda")
    parameters = model.initial(0)
    used = []
    for seed in range(4):
        parameters, _ = model.train(parameters, x, y, training(seed=seed, proximal_mu=0.1))
        model.evaluate(parameters, x, y)
        used.append(torch.cuda.memory_allocated(0))
    assert used[1] == used[-1]


def test_the_command_trains_on_it_the_same_each_time():
    def run():
        command = [sys.executable, "-m", "tradefl", "train", str(EXAMPLE), "--json"]
        command += ["--data", "digits", "--model", "cnn", "--rounds", "3", "--device", "cuda"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def hashes(document):
        return [entry["update_sha256"] for entry in document["entries"]]

    first, second = run(), run()
    assert hashes(first) == hashes(second)
    assert (first["loss"], first["accuracy"]) == (second["loss"], second["accuracy"])
    losses = [first["initial_loss"], *first["loss"]]
    assert len(losses) == 4
    assert all(later < earlier for earlier, later in pairwise(losses))
