"""Libraries that would report their use to their makers."""

from __future__ import annotations

import os


def without_telemetry() -> None:
    """Tell libraries that report their use to their makers not to, unless the user decided.

    They look when they are imported: to be called before.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
