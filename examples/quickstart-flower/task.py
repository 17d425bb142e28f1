"""What is trained, and on what: the digits of scikit-learn, a softmax regression in NumPy."""

from functools import cache

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

ORGANIZATIONS = 4
CLASSES = 10


@cache
def load_data():
    """Return the training and the test part."""
    digits = load_digits()
    x = (digits.data / 16.0).astype(np.float32)
    return train_test_split(x, digits.target, test_size=0.2, random_state=0)


def load_partition(k):
    """Return what organization k holds: a quarter of the training part."""
    x, _, y, _ = load_data()
    return x[k::ORGANIZATIONS], y[k::ORGANIZATIONS]


def initial_model():
    """Return the model before training."""
    return {
        "weight": np.zeros((64, CLASSES), dtype=np.float32),
        "bias": np.zeros(CLASSES, dtype=np.float32),
    }


def probabilities(model, x):
    """Return the probability of each class, shape (n, classes)."""
    scores = x @ model["weight"] + model["bias"]
    exp = np.exp(scores - scores.max(axis=1, keepdims=True))
    return exp / exp.sum(axis=1, keepdims=True)


def fit(model, x, y, lr, epochs=5):
    """Return the model after some epochs of gradient descent."""
    weight, bias = model["weight"].copy(), model["bias"].copy()
    for _ in range(epochs):
        error = probabilities({"weight": weight, "bias": bias}, x)
        error[np.arange(len(y)), y] -= 1.0
        weight -= lr * x.T @ error / len(y)
        bias -= lr * error.mean(axis=0)
    return {"weight": weight, "bias": bias}


def evaluate(model):
    """Return the loss and the accuracy on the test part."""
    _, x, _, y = load_data()
    p = probabilities(model, x)
    return float(-np.log(p[np.arange(len(y)), y]).mean()), float((p.argmax(axis=1) == y).mean())
