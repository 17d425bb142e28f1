"""Models: what they calculate, that they repeat it, and what they refuse."""

import gc
import math
import sys
import threading

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn.functional import cross_entropy

from tradefl.errors import InputError, MissingExtraError
from tradefl.federation.models import MODELS, TORCH_MODELS, LocalTraining, Shape, make_model
from tradefl.federation.models.logistic import gradient

GREY, COLOUR, DIGITS = (28, 28), (32, 32, 3), (8, 8)


@pytest.fixture(autouse=True)
def one_thread():
    """Small batches wait for each other's threads longer than they calculate."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def images(count, inputs, classes=3):
    rng = np.random.default_rng(count)
    x = rng.integers(0, 256, (count, *inputs), dtype=np.uint8)
    return x, rng.integers(0, classes, count)


def model_and_images(name, inputs=GREY, count=8, **options):
    if name in TORCH_MODELS:
        options.setdefault("width", 0.25)
    return make_model(name, Shape(inputs, 3), **options), *images(count, inputs)


def training(**changes):
    how = {"epochs": 1, "learning_rate": 0.05, "batch_size": 4, "seed": 1}
    return LocalTraining(**(how | changes))


def assert_same(parameters, others):
    assert list(parameters) == list(others)
    for name, array in parameters.items():
        assert array.dtype == others[name].dtype
        np.testing.assert_array_equal(array, others[name])


def differ(parameters, others):
    return any((array != others[name]).any() for name, array in parameters.items())


def distance(parameters, others):
    return math.sqrt(sum(((array - others[name]) ** 2).sum() for name, array in parameters.items()))


# --- logistic regression, by hand ---------------------------------------------------------------


def nothing_but_bias(count):
    """Two classes, and samples of class 0 whose only feature is 0."""
    model = make_model("logistic", Shape((1,), 2))
    return model, np.zeros((count, 1), np.float32), np.zeros(count, np.int64)


def test_a_step_by_hand():
    # Both classes have 1/2; the derivative is -1/2 and 1/2 times the feature 3, times 1 by bias.
    model = make_model("logistic", Shape((1,), 2))
    x, y = np.array([[3.0]], np.float32), np.array([0])
    trained, loss = model.train(model.initial(0), x, y, training(learning_rate=0.1))
    np.testing.assert_allclose(trained["weight"], [[0.15, -0.15]], rtol=1e-6)
    np.testing.assert_allclose(trained["bias"], [0.05, -0.05], rtol=1e-6)
    assert loss == pytest.approx(math.log(2))


def test_the_last_batch_may_be_smaller():
    # Two samples, then one: the bias is 1/2 at the second step. The loss is the samples' mean.
    model, x, y = nothing_but_bias(3)
    trained, loss = model.train(model.initial(0), x, y, training(learning_rate=1.0, batch_size=2))
    other = 1 / (1 + math.e)
    np.testing.assert_allclose(trained["bias"], [0.5 + other, -0.5 - other], rtol=1e-6)
    assert loss == pytest.approx((2 * math.log(2) + math.log(1 + math.exp(-1))) / 3)


def test_the_proximal_term_by_hand():
    # At the second step the bias is 1/2 from where it started, at (2, 2): mu/2 is taken back.
    model, x, y = nothing_but_bias(1)
    start = {"weight": np.zeros((1, 2), np.float32), "bias": np.full(2, 2.0, np.float32)}
    how = training(learning_rate=1.0, epochs=2, proximal_mu=0.3)
    trained, loss = model.train(start, x, y, how)
    moved = 0.5 + 1 / (1 + math.e) - 0.3 * 0.5
    np.testing.assert_allclose(trained["bias"], [2 + moved, 2 - moved], rtol=1e-6)
    # Of the last epoch, and without the proximal term.
    assert loss == pytest.approx(math.log(1 + math.exp(-1)))


def test_logistic_evaluation_by_hand():
    model = make_model("logistic", Shape((2,), 3))
    parameters = {"weight": np.array([[1.0, 0, 0], [0, 1, 0]]), "bias": np.array([0.0, 0, 1])}
    x = np.array([[2.0, 0], [0, 3], [0, 0]])
    # Logits (2, 0, 1), (0, 3, 1) and (0, 0, 1); the second sample is called class 1.
    loss, accuracy = model.evaluate(parameters, x, np.array([0, 0, 2]))
    logsums = [math.log(sum(map(math.exp, row))) for row in ([2, 0, 1], [0, 3, 1], [0, 0, 1])]
    assert loss == pytest.approx((sum(logsums) - 2 - 0 - 1) / 3)
    assert accuracy == pytest.approx(2 / 3)


def test_large_logits_do_not_overflow():
    model = make_model("logistic", Shape((1,), 2))
    parameters = {"weight": np.array([[1e4, 0.0]]), "bias": np.zeros(2)}
    x = np.array([[1.0], [-1.0], [1.0]])
    loss, accuracy = model.evaluate(parameters, x, np.array([0, 1, 1]))
    assert (loss, accuracy) == (pytest.approx(1e4 / 3), pytest.approx(2 / 3))


def test_the_gradient_is_the_slope_of_the_loss():
    rng = np.random.default_rng(3)
    weight, bias = rng.normal(size=(5, 4)), rng.normal(size=4)
    x, y = rng.normal(size=(7, 5)), rng.integers(0, 4, 7)
    _, by_weight, by_bias = gradient(weight, bias, x, y)
    for array, derivative in ((weight, by_weight), (bias, by_bias)):
        for index in np.ndindex(array.shape):
            here = array[index]
            losses = []
            for step in (1e-5, -1e-5):
                array[index] = here + step
                losses.append(gradient(weight, bias, x, y)[0])
            array[index] = here
            slope = (losses[0] - losses[1]) / 2e-5
            assert derivative[index] == pytest.approx(slope, abs=1e-9)


def test_logistic_converges_to_what_scikit_learn_finds():
    rng = np.random.default_rng(4)
    y = rng.integers(0, 3, 300)
    # Classes that overlap: the optimum is finite.
    x = rng.normal(size=(300, 2)) + np.array([[0.0, 1], [1, 0], [-1, 0]])[y]
    oracle = LogisticRegression(C=1e10, tol=1e-10, max_iter=1000).fit(x, y)
    model = make_model("logistic", Shape((2,), 3))
    how = training(epochs=2000, learning_rate=1.0, batch_size=300)
    trained, loss = model.train(model.initial(0), x, y, how)
    np.testing.assert_allclose(trained["weight"], oracle.coef_.T, atol=1e-4)
    np.testing.assert_allclose(trained["bias"], oracle.intercept_, atol=1e-4)
    truth = oracle.predict_proba(x)
    assert loss == pytest.approx(-np.log(truth[np.arange(300), y]).mean(), abs=1e-6)
    assert model.evaluate(trained, x, y)[1] == oracle.score(x, y)


def test_logistic_evaluates_more_samples_than_it_converts_at_a_time():
    model = make_model("logistic", Shape((2,), 3))
    x, y = images(10_000, (2,))
    parameters = {"weight": np.eye(2, 3, dtype=np.float32), "bias": np.zeros(3, np.float32)}
    parts = [model.evaluate(parameters, x[s], y[s]) for s in (slice(5000), slice(5000, None))]
    np.testing.assert_allclose(model.evaluate(parameters, x, y), np.mean(parts, axis=0))


# --- what all models have in common -------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_the_same_arguments_give_the_same_bits(name):
    model, x, y = model_and_images(name)
    twin, _, _ = model_and_images(name)
    start = model.initial(7)
    assert_same(start, twin.initial(7))
    how = training(epochs=2)
    trained, loss = model.train(start, x, y, how)
    # What the process drew meanwhile changes nothing.
    torch.rand(3)
    np.random.default_rng().random()
    again, same_loss = twin.train(start, x, y, how)
    assert_same(trained, again)
    assert loss == same_loss
    assert model.evaluate(trained, x, y) == twin.evaluate(again, x, y)
    # The order of the samples is the seed's.
    assert differ(trained, model.train(start, x, y, training(epochs=2, seed=2))[0])


@pytest.mark.parametrize("name", MODELS)
def test_training_leaves_what_it_was_given_and_what_it_gave(name):
    model, x, y = model_and_images(name)
    start = model.initial(0)
    kept = {key: array.copy() for key, array in start.items()}
    for array in (x, y, *start.values()):
        array.setflags(write=False)
    first, _ = model.train(start, x, y, training())
    assert_same(start, kept)
    copies = {key: array.copy() for key, array in first.items()}
    for array in first.values():
        assert array.flags.owndata
        assert array.flags.writeable
        assert array.dtype == np.float32
    model.train(first, x, y, training(seed=2))
    assert_same(first, copies)


@pytest.mark.parametrize("name", MODELS)
def test_a_step_of_no_length_returns_the_parameters(name):
    model, x, y = model_and_images(name)
    start = {key: array + 0.5 for key, array in model.initial(0).items()}
    for mu in (0.0, 1.0):
        trained, _ = model.train(start, x, y, training(learning_rate=0.0, proximal_mu=mu))
        assert_same(trained, start)


@pytest.mark.parametrize("name", ["logistic", "mlp", "cnn"])
def test_the_proximal_term_keeps_close_to_the_start(name):
    model, x, y = model_and_images(name, count=20)
    start = model.initial(0)
    distances = [
        distance(model.train(start, x, y, how)[0], start)
        for how in (training(epochs=20, learning_rate=0.01, proximal_mu=mu) for mu in (0, 1, 10))
    ]
    assert distances[0] > distances[1] > distances[2] > 0


@pytest.mark.parametrize("name", ["logistic", "mlp"])
def test_features_of_any_float_kind_train_alike(name):
    model = make_model(name, Shape((5,), 3))
    x, y = images(9, (5,))
    halves = (x / 2).astype(np.float16)
    assert_same(
        model.train(model.initial(0), halves, y, training())[0],
        model.train(model.initial(0), halves.astype(">f8"), y, training())[0],
    )


def test_logistic_divides_images_by_255():
    model, x, y = model_and_images("logistic")
    scaled = x.astype(np.float32) / np.float32(255)
    assert_same(
        model.train(model.initial(0), x, y, training())[0],
        model.train(model.initial(0), scaled, y, training())[0],
    )


def test_torch_models_center_images():
    model, x, y = model_and_images("cnn", COLOUR)
    start = model.initial(0)
    centered = (x.astype(np.float32) / 255 - 0.5) / 0.5
    assert model.evaluate(start, x, y) == pytest.approx(model.evaluate(start, centered, y))
    trained, _ = model.train(start, x, y, training())
    other, _ = model.train(start, centered, y, training())
    for name, array in trained.items():
        np.testing.assert_allclose(array, other[name], atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_divergence_neither_raises_nor_warns(name):
    model, x, y = model_and_images(name)
    how = training(learning_rate=1e38, epochs=3)
    trained, loss = model.train(model.initial(0), x, y, how)
    assert not all(np.isfinite(array).all() for array in trained.values())
    assert not math.isfinite(loss)
    assert not math.isfinite(model.evaluate(trained, x, y)[0])


@pytest.mark.parametrize("name", ["logistic", "mlp"])
def test_features_beyond_float32_neither_raise_nor_warn(name):
    model = make_model(name, Shape((2,), 2))
    x, y = np.array([[1e300, 1.0], [-1e300, 1.0]]), np.array([0, 1])
    trained, loss = model.train(model.initial(0), x, y, training())
    assert math.isnan(loss)
    assert math.isnan(model.evaluate(trained, x, y)[0])


@pytest.mark.parametrize("name", ["logistic", "cnn"])
def test_parameters_of_another_model_are_refused(name):
    model, x, y = model_and_images(name)
    start = model.initial(0)
    bias = next(key for key in start if key.endswith("bias"))
    wrong = [
        start | {bias: start[bias][:1]},
        start | {"other": start[bias]},
        {key: array for key, array in start.items() if key != bias},
    ]
    for parameters in wrong:
        with pytest.raises(ValueError, match="expected parameters of the shapes"):
            model.train(parameters, x, y, training())
        with pytest.raises(ValueError, match="expected parameters of the shapes"):
            model.evaluate(parameters, x, y)


@pytest.mark.parametrize("name", ["logistic", "cnn"])
def test_there_is_no_mean_of_no_samples(name):
    model, x, y = model_and_images(name)
    start = model.initial(0)
    with pytest.raises(ValueError, match="expected samples"):
        model.train(start, x[:0], y[:0], training())
    with pytest.raises(ValueError, match="expected samples"):
        model.train(start, x, y, training(epochs=0))
    with pytest.raises(ValueError, match="expected samples"):
        model.evaluate(start, x[:0], y[:0])


# --- torch networks -----------------------------------------------------------------------------


@pytest.mark.parametrize("inputs", [GREY, COLOUR, DIGITS, (8, 12, 2), (1, 1)], ids=str)
@pytest.mark.parametrize("name", TORCH_MODELS)
def test_steps_on_a_batch_lower_its_loss(name, inputs):
    model, x, y = model_and_images(name, inputs, count=4)
    start = model.initial(0)
    loss, _ = model.evaluate(start, x, y)
    trained, _ = model.train(start, x, y, training(epochs=3, learning_rate=0.01))
    assert model.evaluate(trained, x, y)[0] < loss
    # Every layer takes part.
    still = [key for key, array in trained.items() if (array == start[key]).all()]
    assert still == [] or inputs == (1, 1)


def test_channels_are_told_from_pixels():
    # Filters that see only the first channel make of colour images what they make of grey ones.
    grey, x, y = model_and_images("cnn", (8, 12), count=6)
    colour, _, _ = model_and_images("cnn", (8, 12, 3))
    parameters = grey.initial(0)
    first = next(iter(parameters))
    blind = colour.initial(0) | parameters
    blind[first] = np.concatenate([parameters[first], *[0 * parameters[first]] * 2], axis=1)
    noise = images(7, (8, 12))[0][:6]
    loss, accuracy = colour.evaluate(blind, np.stack([x, noise, noise], axis=-1), y)
    assert (loss, accuracy) == pytest.approx(grey.evaluate(parameters, x, y), rel=1e-5)


@pytest.mark.parametrize("inputs", [(8, 12), (8, 12, 3)], ids=str)
def test_rows_are_told_from_columns(inputs):
    # Images and filters on their sides give what they gave upright.
    model, x, y = model_and_images("resnet18", inputs)
    sideways, _, _ = model_and_images("resnet18", (12, 8, *inputs[2:]))
    parameters = model.initial(0)
    turned = {
        name: array.swapaxes(2, 3) if array.ndim == 4 else array
        for name, array in parameters.items()
    }
    loss, accuracy = sideways.evaluate(turned, x.swapaxes(1, 2), y)
    assert (loss, accuracy) == pytest.approx(model.evaluate(parameters, x, y), rel=1e-5)


@pytest.mark.parametrize("name", TORCH_MODELS)
def test_random_numbers_of_the_process_are_left_alone(name):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    model, x, y = model_and_images(name)
    start = model.initial(1)
    assert differ(start, model.initial(2))
    model.train(start, x, y, training())
    model.evaluate(start, x, y)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", TORCH_MODELS)
def test_width_multiplies_the_parameters(name):
    counts = [
        sum(array.size for array in make_model(name, Shape(DIGITS, 3), width=w).initial(0).values())
        for w in (0.01, 0.5, 1.0)
    ]
    assert sorted(set(counts)) == counts


@pytest.mark.parametrize("name", TORCH_MODELS)
def test_nothing_depends_on_the_other_samples_of_a_batch(name):
    model, x, y = model_and_images(name, DIGITS, count=5)
    start = model.initial(0)
    each = [model.evaluate(start, x[[i]], y[[i]])[0] for i in range(5)]
    assert model.evaluate(start, x, y)[0] == pytest.approx(np.mean(each), rel=1e-5)
    # A loss before the first step is the training's; batch normalization would change it.
    if name != "alexnet":  # dropout does
        loss = model.train(start, x, y, training(batch_size=5))[1]
        assert loss == pytest.approx(np.mean(each), rel=1e-5)
    assert not any("running" in key or "batches" in key for key in start)


def test_mlp_evaluation_by_hand():
    model = make_model("mlp", Shape((3,), 2), width=0.1)
    x = np.random.default_rng(0).normal(size=(300, 3))
    y = (x[:, 0] > 0).astype(np.int64)
    parameters = model.initial(3)
    assert [array.shape for array in parameters.values()] == [
        (12, 3), (12,), (8, 12), (8,), (2, 8), (2,)
    ]  # fmt: skip
    values = [array.astype(float) for array in parameters.values()]
    hidden = np.maximum(x @ values[0].T + values[1], 0)
    hidden = np.maximum(hidden @ values[2].T + values[3], 0)
    odds = np.exp(hidden @ values[4].T + values[5])
    chances = odds / odds.sum(axis=1, keepdims=True)
    loss, accuracy = model.evaluate(parameters, x, y)
    assert loss == pytest.approx(-np.log(chances[np.arange(300), y]).mean(), rel=1e-5)
    assert accuracy == pytest.approx((chances.argmax(axis=1) == y).mean())


def test_mlp_training_is_torchs_own_sgd_with_the_proximal_term():
    model = make_model("mlp", Shape((3,), 2), width=0.1)
    x, y = np.random.default_rng(0).normal(size=(6, 3)), np.arange(6) % 2
    start = model.initial(3)
    weights = [torch.tensor(array, requires_grad=True) for array in start.values()]
    optimizer = torch.optim.SGD(weights, lr=0.2, momentum=0.9)
    for _ in range(4):
        hidden = torch.tensor(x, dtype=torch.float32)
        for layer in (0, 2, 4):
            hidden = torch.relu(hidden) if layer else hidden
            hidden = hidden @ weights[layer].T + weights[layer + 1]
        loss = cross_entropy(hidden, torch.tensor(y))
        away = sum(
            ((weight - torch.tensor(array)) ** 2).sum()
            for weight, array in zip(weights, start.values(), strict=True)
        )
        optimizer.zero_grad()
        (loss + 0.7 / 2 * away).backward()
        optimizer.step()
    # One batch, so its order does not count.
    how = training(epochs=4, learning_rate=0.2, batch_size=6, proximal_mu=0.7)
    trained, last = model.train(start, x, y, how)
    assert last == pytest.approx(loss.item(), rel=1e-5)
    for array, weight in zip(trained.values(), weights, strict=True):
        np.testing.assert_allclose(array, weight.detach().numpy(), rtol=1e-4, atol=1e-6)


def test_the_loss_counts_each_sample_once():
    # Steps of no length: the loss of every batch is that of the start.
    model, x, y = model_and_images("cnn", DIGITS, count=11)
    start = model.initial(0)
    loss = model.train(start, x, y, training(learning_rate=0.0, batch_size=4))[1]
    assert loss == pytest.approx(model.evaluate(start, x, y)[0], rel=1e-5)


def test_dropout_is_for_training_only_and_from_the_seed():
    model, x, y = model_and_images("alexnet", DIGITS, count=1)
    start = model.initial(0)
    # A single sample has a single order: what differs is what is dropped.
    losses = [model.train(start, x, y, training(seed=seed))[1] for seed in (1, 1, 2)]
    assert losses[0] == losses[1] != losses[2]
    assert model.evaluate(start, x, y) == model.evaluate(start, x, y)


def test_rounds_leave_no_tensors_behind():
    def tensors():
        gc.collect()
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())

    model, x, y = model_and_images("cnn", DIGITS)
    parameters = model.initial(0)
    before = tensors()
    for seed in range(3):
        parameters, _ = model.train(parameters, x, y, training(seed=seed, proximal_mu=0.1))
        model.evaluate(parameters, x, y)
    assert tensors() == before


def test_threads_take_turns():
    model, x, y = model_and_images("alexnet", DIGITS)
    start = model.initial(0)
    results = {}

    def train(seed):
        results[seed] = model.train(start, x, y, training(epochs=5, seed=seed))[0]

    threads = [threading.Thread(target=train, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in range(4):
        assert_same(results[seed], model.train(start, x, y, training(epochs=5, seed=seed))[0])


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "inputs", "options", "message"),
    [
        ("logistic", (4,), {"width": 0.5}, "width: expected 1 .*, got 0.5"),
        ("logistic", (4,), {"width": math.nan}, "width: expected 1 .*, got nan"),
        ("logistic", (4,), {"device": "cuda"}, "device: expected cpu or auto .*, got 'cuda'"),
        ("mlp", (4,), {"width": 0.0}, "width: expected a number above 0, at most 16, got 0.0"),
        ("cnn", GREY, {"width": math.nan}, "width: expected a number above 0.* got nan"),
        ("cnn", GREY, {"width": 17}, "width: expected .* at most 16, got 17"),
        ("cnn", GREY, {"device": "gpu"}, "device: expected cpu, auto, cuda or cuda:N, got 'gpu'"),
        ("cnn", GREY, {"device": "cuda:-1"}, "device: expected cpu, .* got 'cuda:-1'"),
        ("cnn", GREY, {"device": "cuda:999"}, "device: there is no GPU number 999: "),
        ("cnn", (4,), {}, "model: cnn expects images, got samples of 4 features: take mlp"),
        ("resnet18", (2, 2, 2, 2), {}, "model: resnet18 expects images, got .* 2 x 2 x 2 x 2 "),
    ],
)
def test_what_does_not_fit_is_refused(name, inputs, options, message):
    with pytest.raises(InputError, match=f"^{message}"):
        make_model(name, Shape(inputs, 3), **options)


@pytest.mark.parametrize("name", TORCH_MODELS)
def test_without_torch_the_message_names_the_extra(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=rf"^model {name}: .*tradefl\[vision\]"):
        make_model(name, Shape(GREY, 3))


@pytest.mark.parametrize("name", MODELS)
def test_auto_is_a_gpu_only_where_there_is_one(name):
    model, x, y = model_and_images(name, DIGITS, device="auto")
    assert math.isfinite(model.evaluate(model.initial(0), x, y)[0])


def test_a_step_on_all_tensors_at_once_is_that_on_each():
    from tradefl.federation.models.torch_training import MOMENTUM, _step

    rng = np.random.default_rng(3)

    def tensors():
        shapes = ((4, 3, 3), (7,), (2, 5))
        return [torch.from_numpy(rng.standard_normal(shape).astype(np.float32)) for shape in shapes]

    for mu in (0.0, 0.3):
        how = training(proximal_mu=mu)
        weights, slopes, velocity, start = (tensors() for _ in range(4))
        expected, speeds = (
            [weight.clone() for weight in weights],
            [array.clone() for array in velocity],
        )
        for weight, slope, speed, before in zip(expected, slopes, speeds, start, strict=True):
            speed.mul_(MOMENTUM).add_(slope)
            if mu:
                speed.add_(weight - before, alpha=mu)
            weight.sub_(speed, alpha=how.learning_rate)
        _step(weights, tuple(slopes), velocity, start, how)
        assert all(map(torch.equal, weights, expected))
        assert all(map(torch.equal, velocity, speeds))


def test_torch_trains_on_one_thread_and_leaves_the_number_as_it_was(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    model, x, y = model_and_images("cnn")
    torch.set_num_threads(2)
    seen = []
    monkeypatch.setattr(
        model._module,
        "forward",
        lambda samples, run=model._module.forward: (
            seen.append(torch.get_num_threads()) or run(samples)
        ),
    )
    start = model.initial(0)
    model.train(start, x, y, training())
    model.evaluate(start, x, y)
    assert set(seen) == {1}
    assert torch.get_num_threads() == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    seen.clear()
    model.evaluate(start, x, y)
    assert set(seen) == {2}
