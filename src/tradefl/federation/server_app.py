"""The ServerApp that ``flwr run`` starts; its plan is the run config."""

from __future__ import annotations

from tradefl.federation.training import make_server_app

app = make_server_app()
