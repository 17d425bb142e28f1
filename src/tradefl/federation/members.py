"""Who the nodes are: which organization each speaks for, and which take part for nobody.

A node says who it is in reply to a query, before the first round. Its key must be the registered
one, its code and its mods must fit the run; the first of two that claim one place has it until it
is gone.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from logging import WARNING, getLogger

from flwr.app import ConfigRecord, Message, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from tradefl.errors import InputError
from tradefl.federation.aggregations import CLIENT_SIDE, mod_needed
from tradefl.federation.judgement import CLIENT_APP_FAILED, short
from tradefl.federation.pledge import PROFILE, PROFILE_QUERY, own_code
from tradefl.federation.terms import Terms
from tradefl.federation.updates import UnusableUpdateError, config_of

log = getLogger("flwr").log
PROFILE_SECONDS = 120.0
POLL_SECONDS = 1.0


class NobodyTakesPartError(InputError, RuntimeError):
    """No node may train: none is connected, or each was refused; the message has the reasons."""


class Members:
    """The nodes that speak for the organizations, as they come and go.

    Parameters
    ----------
    strategy, terms, public_keys, join_seconds, same_code
        As of :class:`~tradefl.federation.TradeFL`.

    Attributes
    ----------
    nodes
        Which organization a node speaks for, by the node's id.
    connected
        The ids of the nodes that are connected.
    refusals
        What happened to nodes that do not take part as they asked to, in words.
    refused_for
        Why an organization's node was refused.
    question
        The terms of the run, which a node is to confirm.
    """

    def __init__(
        self,
        strategy: Strategy,
        terms: Terms,
        *,
        public_keys: Mapping[str, bytes] | None,
        join_seconds: float,
        same_code: bool,
    ) -> None:
        self.strategy = strategy
        self.terms = terms
        self.public_keys = public_keys
        self.join_seconds = join_seconds
        self.same_code = same_code
        self.nodes: dict[int, int] = {}
        self.connected: set[int] = set()
        self.refusals: list[str] = []
        self.refused_for: dict[int, str] = {}
        self.question = ConfigRecord()
        self._index = {name: i for i, name in enumerate(terms.names)}
        self._refused: dict[int, str] = {}  # node id -> why it speaks for nobody
        self._waiting: dict[int, int] = {}  # node id -> organization that another node speaks for

    def await_organizations(self, grid: Grid) -> None:
        """Learn who the nodes are; the first time, wait until everybody is there."""
        first = not self.nodes
        until = time.monotonic() + self.join_seconds
        self._identify(grid)
        while first and len(set(self.nodes.values())) < len(self.terms):
            everybody = len(self.connected) >= len(self.terms)
            hopeless = everybody and self.connected <= set(self._refused)
            if time.monotonic() >= until or hopeless:
                break
            time.sleep(POLL_SECONDS)
            self._identify(grid)
        if not self.nodes:
            reasons = "; ".join(sorted(set(self._refused.values())))
            silent = "no node has said which organization it is"
            reasons = reasons or (silent if self.connected else "no node is connected")
            raise NobodyTakesPartError.at("training", f"no organization takes part: {reasons}")
        missing = [name for name, i in self._index.items() if i not in self.nodes.values()]
        if first and missing:
            log(WARNING, "not connected: %s", ", ".join(missing))

    def _identify(self, grid: Grid) -> None:
        """Ask nodes that are new which organization they are."""
        nodes = {node.node_id: node for node in grid.get_nodes()}
        self.connected = set(nodes)
        # Who was refused and went may come back another, under the same id.
        self._refused = {k: why for k, why in self._refused.items() if k in nodes}
        for node, i in list(self._waiting.items()):  # for whose place may be free by now
            if node in nodes and not self.is_connected(i):
                what = f"node {node} takes the place of {self.terms.names[i]!r}: the other is gone"
                self.refusals.append(what)
                log(WARNING, "%s", what)
                self._take_place(node, i)
                del self._waiting[node]
        known = {*self.nodes, *self._refused, *self._waiting}
        new = [k for k in sorted(nodes) if k not in known]
        if not new:
            return
        question = RecordDict({PROFILE: self.question})
        replies = grid.send_and_receive(
            [Message(question, k, PROFILE_QUERY) for k in new], timeout=PROFILE_SECONDS
        )

        def order(reply: Message) -> tuple[str, int]:
            node = int(reply.metadata.src_node_id)
            since = nodes[node].last_activated_at if node in nodes else ""
            return str(since), node

        for reply in sorted(replies, key=order):  # first come, first served
            node = reply.metadata.src_node_id
            if node not in nodes:
                continue  # the SuperLink's, for a node that is gone: if it comes back, we ask again
            if reply.has_error() and reply.error.code != CLIENT_APP_FAILED:
                continue  # it was starting or going: ask again
            who: int | None = None
            try:
                who = self._organization(reply)
                self._confirm(who, config_of(reply, PROFILE))
                self._admit(node, who, bytes(nodes[node].public_key))
            except UnusableUpdateError as error:
                self._refused[node] = str(error)
                if who is not None:
                    name = self.terms.names[who]
                    self.refused_for[who] = str(error).removeprefix(f"{name}: ")
                self.refusals.append(f"node {node} was refused: {error}")
                log(WARNING, "node %d is refused: %s", node, error)

    def _organization(self, reply: Message) -> int:
        """Return which organization a node says it is."""
        if reply.has_error():
            raise UnusableUpdateError(
                f"it does not say which organization it is ({short(reply.error.reason)}); "
                "is its ClientApp a ContributingApp?"
            )
        profile = config_of(reply, PROFILE)
        name, partition = profile.get("organization"), profile.get("partition-id")
        if isinstance(name, str) and name in self._index:
            return self._index[name]
        if name is None and type(partition) is int and 0 <= partition < len(self.terms):
            return partition
        raise UnusableUpdateError(
            f"it says it is {name!r}, partition {partition!r}: no organization of the consortium"
        )

    def _confirm(self, i: int, profile: ConfigRecord) -> None:
        """Refuse a node that cannot train by the terms of the run, before it trains."""
        name = self.terms.names[i]
        if refusal := profile.get("refusal"):
            raise UnusableUpdateError(f"{name}: {short(str(refusal))}")
        mods = profile.get("mods")
        if isinstance(mods, list):
            needed = mod_needed(self.strategy)
            if needed and needed not in mods:
                kind = type(self.strategy).__name__
                raise UnusableUpdateError(f"{name}: {kind} needs {needed} in the ClientApp's mods")
            for mod, wrapper in CLIENT_SIDE.items():
                if mod in mods and mod != needed:
                    raise UnusableUpdateError(
                        f"{name}: its mod {mod} works only with the server's {wrapper}"
                    )
        code, digest = own_code(), profile.get("package-digest")
        if digest != code["package-digest"]:
            theirs = short(str(profile.get("package-version") or "unknown"))
            what = (
                f"{name}: it runs other code of tradefl (version {theirs}, digest "
                f"{str(digest)[:12]}; here {code['package-version']}, "
                f"{code['package-digest'][:12]})"
            )
            if self.same_code:
                raise UnusableUpdateError(what)
            if digest is not None:  # an app of another's package says nothing of ours
                self.refusals.append(f"{what}; it takes part, because other code is allowed")

    def _admit(self, node: int, i: int, key: bytes) -> None:
        """Let a node speak for an organization if its key allows it, after the one that does."""
        name = self.terms.names[i]
        if self.public_keys is not None and self.public_keys.get(name) != key:
            raise UnusableUpdateError(f"it says it is {name!r}, but its key is another")
        if self.is_connected(i):
            self._waiting[node] = i
            what = f"node {node} says it is {name!r}, which another node is; it waits"
            self.refusals.append(what)
            log(WARNING, "%s", what)
        else:
            self._take_place(node, i)

    def is_connected(self, i: int) -> bool:
        """Tell whether a connected node speaks for an organization."""
        return any(j == i and node in self.connected for node, j in self.nodes.items())

    def _take_place(self, node: int, i: int) -> None:
        """Let a node speak for an organization, instead of those that are gone."""
        self.nodes = {k: j for k, j in self.nodes.items() if j != i} | {node: i}
