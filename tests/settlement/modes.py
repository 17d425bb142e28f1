"""How real nodes and providers answer: rules for the proxy in front of a node."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.settlement.nodes import HANGUP, Forward, NodeError, Proxy, RpcError, Rule

READS = ("eth_call", "eth_getBalance", "eth_getCode")
BEHIND = (
    *READS, "eth_blockNumber", "eth_getTransactionCount", "eth_getBlockByNumber"
)  # fmt: skip


def logs_range_400(span: int) -> Rule:
    """A provider that searches so many blocks at once."""

    def rule(method: str, params: list[Any], forward: Forward) -> Any:
        if method == "eth_getLogs":
            first, last = (int(params[0][key], 16) for key in ("fromBlock", "toBlock"))
            if last - first > span:
                said = f"block range of eth_getLogs is limited to {span}"
                return RpcError(said, -32600, status=400)
        return forward()

    return rule


def every(n: int, methods: set[str] | None, answer: Any) -> Rule:
    """Every n-th request of some methods, or of all, is answered so."""
    counts: Counter[str] = Counter()

    def rule(method: str, params: list[Any], forward: Forward) -> Any:
        if methods is not None and method not in methods:
            return forward()
        key = "" if methods is None else method
        counts[key] += 1
        return answer if counts[key] % n == 1 % n else forward()

    return rule


def header_not_found(n: int) -> Rule:
    """Every n-th read at a fixed block meets a node that does not have it yet."""
    counts: Counter[str] = Counter()

    def rule(method: str, params: list[Any], forward: Forward) -> Any:
        if method in READS and params[-1] not in ("latest", "pending"):
            counts[method] += 1
            if counts[method] % n == 0:
                return RpcError("header not found")
        return forward()

    return rule


def without(*methods: str) -> Rule:
    """These methods do not exist."""
    return lambda method, _params, forward: (
        RpcError(f"the method {method} does not exist/is not available", -32601)
        if method in methods
        else forward()
    )


def one_argument() -> Rule:
    """As geth up to 1.9.21 estimates."""
    return lambda method, params, forward: (
        RpcError("too many arguments, want at most 1", -32602)
        if method == "eth_estimateGas" and len(params) > 1
        else forward()
    )


def null(method_: str, times: int = 10**9) -> Rule:
    """A syncing node."""
    left = times

    def rule(method: str, params: list[Any], forward: Forward) -> Any:
        nonlocal left
        if method == method_ and left > 0:
            left -= 1
            return None
        return forward()

    return rule


def lost_send() -> Rule:
    """Every transaction arrives, and the connection breaks before the answer."""
    seen: set[str] = set()

    def rule(method: str, params: list[Any], forward: Forward) -> Any:
        if method != "eth_sendRawTransaction":
            return forward()
        if params[0] in seen:
            return RpcError("AlreadyKnown")
        seen.add(params[0])
        with contextlib.suppress(NodeError):
            forward()
        return HANGUP

    return rule


def empty_logs() -> Rule:
    return lambda method, _params, forward: [] if method == "eth_getLogs" else forward()


def stale(proxy: Proxy, share: float) -> Rule:
    """A load balancer: a share of the answers comes from a node that is one block behind."""
    rng = random.Random(1)  # noqa: S311

    def rule(method: str, params: list[Any], forward: Forward) -> Any:
        if method not in BEHIND or len(proxy.asked) < 4 or rng.random() >= share:
            return forward()
        old = max(0, proxy.node.height - 1)
        if method == "eth_blockNumber":
            return hex(old)
        moved = [hex(old) if param in ("latest", "pending") else param for param in params]
        at = moved[0] if method == "eth_getBlockByNumber" else moved[-1]
        if isinstance(at, str) and at.startswith("0x") and int(at, 16) > old:
            return None if method == "eth_getBlockByNumber" else RpcError("header not found")
        return proxy._forward(method, moved)

    return rule


SETTLE: dict[str, Callable[[Proxy], Rule]] = {
    "logs_range_400": lambda _: logs_range_400(3),
    "rate_200": lambda _: every(7, None, RpcError("request limit reached", -32007)),
    "rate_429": lambda _: every(7, None, RpcError("Too Many Requests", 429, status=429)),
    "rate_logs": lambda _: every(2, {"eth_getLogs"}, RpcError("request rate limited", -32005)),
    "header_not_found": lambda _: header_not_found(3),
    "stale": lambda proxy: stale(proxy, 0.2),
    "indexing": lambda _: every(
        2, {"eth_getTransactionReceipt"}, RpcError("transaction indexing is in progress")
    ),
    "no_fee_methods": lambda _: without("eth_maxPriorityFeePerGas", "eth_feeHistory"),
    "one_argument": lambda _: one_argument(),
    "null_balance for a while": lambda _: null("eth_getBalance", 3),
    "null_count for a while": lambda _: null("eth_getTransactionCount", 3),
    "null_block for a while": lambda _: null("eth_getBlockByNumber", 3),
    "lost_send": lambda _: lost_send(),
}
REFUSE: dict[str, Callable[[Proxy], Rule]] = {
    "null_balance": lambda _: null("eth_getBalance"),
    "null_count": lambda _: null("eth_getTransactionCount"),
    "null_block": lambda _: null("eth_getBlockByNumber"),
    "empty_logs": lambda _: empty_logs(),
}
