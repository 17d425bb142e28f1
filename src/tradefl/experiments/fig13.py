"""Fig. 13: the loss of the global model round by round, ResNet-18 on CIFAR-10.

The paper's loss falls fastest under TOS, then DBR, and more slowly under FIP, GCA and WPR. Ours is
of trainings on each scheme's contributions at gamma* (:mod:`.training`).
"""

from __future__ import annotations

from tradefl.experiments.scheme_trainings import loss_figure

FIGURE = loss_figure("fig13", "resnet18-cifar10")
