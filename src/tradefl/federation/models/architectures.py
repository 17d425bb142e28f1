"""Networks in torch: the well-known ones, in forms for images of 8 to some 64 pixels a side.

All follow three rules. ``width`` multiplies the number of channels. Strided layers pad and pools
round up, so that no image is too small. Activations are normalized in groups of channels, not
over the batch (decision 014).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

# Channels that share a mean and a variance, at least: all, where there are fewer.
GROUP = 8
# Of an image: channels, height, width.
Image = tuple[int, int, int]


def build(name: str, inputs: tuple[int, ...], classes: int, width: float) -> nn.Module:
    """Return the network of a name, for samples of a shape (images: channels first)."""
    if name == "mlp":
        return mlp(math.prod(inputs), classes, width)
    channels, height, across = inputs
    return IMAGE_NETWORKS[name]((channels, height, across), classes, width)


# --- parts --------------------------------------------------------------------------------------


def scaled(channels: int, width: float) -> int:
    """Return a number of channels times the width, a multiple of four."""
    return max(4, 4 * round(channels * width / 4))


def normalization(channels: int) -> nn.GroupNorm:
    """Return the normalization in as many equal groups of ``GROUP`` or more as there are."""
    groups = max(1, channels // GROUP)
    while channels % groups:
        groups -= 1
    return nn.GroupNorm(groups, channels)


def convolution(
    before: int, after: int, size: int, *, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    """Return a convolution that keeps the size of the image, or divides it by the stride."""
    layer = nn.Conv2d(before, after, size, stride, size // 2, groups=groups, bias=False)
    nn.init.kaiming_normal_(layer.weight)
    return layer


def activated(
    before: int, after: int, size: int, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Return a convolution, normalized and rectified."""
    return nn.Sequential(
        convolution(before, after, size, stride=stride, groups=groups),
        normalization(after),
        nn.ReLU(),
    )


def halved(side: int, times: int) -> int:
    """Return the side of an image after so many pools or strides of two."""
    return math.ceil(side / (1 << times))


class Average(nn.Module):
    """The mean over the image, channel by channel."""

    def forward(self, x: Tensor) -> Tensor:
        """Return shape (n, channels)."""
        # Not AdaptiveAvgPool2d: its backward pass is not repeatable on a GPU.
        return x.mean(dim=(2, 3))


# --- networks -----------------------------------------------------------------------------------


def mlp(features: int, classes: int, width: float) -> nn.Module:
    """Return a perceptron with two hidden layers."""
    first, second = scaled(128, width), scaled(64, width)
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(features, first),
        nn.ReLU(),
        nn.Linear(first, second),
        nn.ReLU(),
        nn.Linear(second, classes),
    )


def cnn(image: Image, classes: int, width: float) -> nn.Module:
    """Return two convolutions and two dense layers, small enough for a processor."""
    channels, height, across = image
    first, second, hidden = (scaled(count, width) for count in (16, 32, 64))
    return nn.Sequential(
        activated(channels, first, 3),
        nn.MaxPool2d(2, ceil_mode=True),
        activated(first, second, 3),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.Flatten(),
        nn.Linear(second * halved(height, 2) * halved(across, 2), hidden),
        nn.ReLU(),
        nn.Linear(hidden, classes),
    )


def alexnet(image: Image, classes: int, width: float) -> nn.Module:
    """Return AlexNet's five convolutions and three dense layers, with 3x3 filters."""
    channels, height, across = image
    counts = [channels, *(scaled(count, width) for count in (64, 192, 384, 256, 256))]
    hidden = scaled(1024, width)
    layers: list[nn.Module] = []
    for index, (before, after) in enumerate(itertools.pairwise(counts)):
        layers.append(activated(before, after, 3))
        if index in (0, 1, 4):
            layers.append(nn.MaxPool2d(3, stride=2, padding=1))
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(counts[-1] * halved(height, 3) * halved(across, 3), hidden),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, classes),
    )


class Residual(nn.Module):
    """Two convolutions around which the input passes."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            activated(before, after, 3, stride=stride),
            convolution(after, after, 3),
            normalization(after),
        )
        self.shortcut: nn.Module = nn.Identity()
        if before != after or stride > 1:
            self.shortcut = nn.Sequential(
                convolution(before, after, 1, stride=stride), normalization(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return the rectified sum of the two paths."""
        return torch.relu(self.body(x) + self.shortcut(x))


def resnet18(image: Image, classes: int, width: float) -> nn.Module:
    """Return ResNet-18 with the stem for small images: one 3x3 convolution, no pool."""
    before = scaled(64, width)
    layers: list[nn.Module] = [activated(image[0], before, 3)]
    for count, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        after = scaled(count, width)
        layers += [Residual(before, after, stride), Residual(after, after, 1)]
        before = after
    return nn.Sequential(*layers, Average(), nn.Linear(before, classes))


class Dense(nn.Module):
    """A bottleneck and a convolution, whose output joins the input."""

    def __init__(self, before: int, growth: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            normalization(before),
            nn.ReLU(),
            convolution(before, 4 * growth, 1),
            normalization(4 * growth),
            nn.ReLU(),
            convolution(4 * growth, growth, 3),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the channels of the input and the new ones."""
        return torch.cat((x, self.body(x)), dim=1)


def densenet(image: Image, classes: int, width: float) -> nn.Module:
    """Return DenseNet-BC of 40 layers: three blocks of six bottlenecks, growth 16."""
    growth = scaled(16, width)
    channels = 2 * growth
    layers: list[nn.Module] = [convolution(image[0], channels, 3)]
    for block in range(3):
        if block:
            # The transition halves the channels and the image.
            layers += [
                normalization(channels),
                nn.ReLU(),
                convolution(channels, channels // 2, 1),
                nn.AvgPool2d(2, ceil_mode=True),
            ]
            channels //= 2
        for _ in range(6):
            layers.append(Dense(channels, growth))
            channels += growth
    return nn.Sequential(
        *layers, normalization(channels), nn.ReLU(), Average(), nn.Linear(channels, classes)
    )


def mobilenet(image: Image, classes: int, width: float) -> nn.Module:
    """Return MobileNet: convolutions by channel, then across channels; the first keeps the size."""
    before = scaled(32, width)
    layers: list[nn.Module] = [activated(image[0], before, 3)]
    stages = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5)
    for count, stride in (*stages, (1024, 2), (1024, 1)):
        after = scaled(count, width)
        layers += [
            activated(before, before, 3, stride=stride, groups=before),
            activated(before, after, 1),
        ]
        before = after
    return nn.Sequential(*layers, Average(), nn.Linear(before, classes))


IMAGE_NETWORKS: dict[str, Callable[[Image, int, float], nn.Module]] = {
    "cnn": cnn,
    "resnet18": resnet18,
    "alexnet": alexnet,
    "densenet": densenet,
    "mobilenet": mobilenet,
}
