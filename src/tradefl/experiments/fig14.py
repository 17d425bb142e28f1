"""Fig. 14: the loss of the global model round by round, AlexNet on Fashion-MNIST.

As Fig. 13, with another model and data set.
"""

from __future__ import annotations

from tradefl.experiments.scheme_trainings import loss_figure

FIGURE = loss_figure("fig14", "alexnet-fashion-mnist")
