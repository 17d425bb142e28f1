"""What partners, chains and nodes hand over besides consortium files, damaged: never a traceback.

10,000 inputs a reader under the marker ``slow``, one in twenty of them in the gate.
"""

import dataclasses
import functools
import io
import json
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.consortium.documents import document, save
from tests.hostile.test_fuzz import FEW, MANY, SOLUTION, assert_read_or_refused, damaged
from tests.settlement.consortia import account, annex
from tests.test_report import settled, trained

import tradefl
from tradefl.errors import InputError
from tradefl.federation.checkpoint import META, Checkpoint
from tradefl.federation.keys import public_keys
from tradefl.foreign import read_bytes, read_json
from tradefl.report import read_settlement, read_training
from tradefl.settlement import Agreement
from tradefl.settlement.accounts import keystore_accounts, open_keystore
from tradefl.settlement.annex import accuracy_of, energy_of, read_annex
from tradefl.settlement.attestation import Attestation, read_attestations
from tradefl.settlement.chains import nodes
from tradefl.settlement.chains.fees import Offer
from tradefl.settlement.chains.journal import Book, Deposit, Sending, Signed
from tradefl.settlement.profile import read_reports
from tradefl.sweep import parts


@functools.cache
def three() -> tradefl.Consortium:
    changes = {f"organization.{k}.address": account(k) for k in range(3)}
    with tempfile.TemporaryDirectory() as folder:
        whole = document(changes | {"settlement": {"chain_id": 1}})
        return tradefl.load(save(Path(folder), whole))


@functools.cache
def agreed() -> Agreement:
    return Agreement.of(three())


def archive(text: bytes) -> bytes:
    stream = io.BytesIO()
    figures = {"array.0": np.zeros(2), META: np.frombuffer(text, np.uint8)}
    np.savez(stream, **figures)
    return stream.getvalue()


CHECKPOINT = {
    "schema": "tradefl/checkpoint/1",
    "rounds_done": 1,
    "accuracy": ["0x0.0p+0", "0x1.0p-1"],
    "loss": ["0x1.0p+0", "0x1.0p-1"],
    "entries": [{"round": 1, "organization": "Alpha", "outcome": "aggregated"}],
    "identity": {"data": "digits"},
    "names": ["w"],
    "state": {},
}
KEY = {
    "address": "008aeeda4d805471df9b2a5b0f38a0c3bcba786b",
    "crypto": {
        "cipher": "aes-128-ctr",
        "ciphertext": "00" * 32,
        "cipherparams": {"iv": "00" * 16},
        "kdf": "pbkdf2",
        "kdfparams": {"c": 2, "dklen": 32, "prf": "hmac-sha256", "salt": "ab" * 8},
        "mac": "11" * 32,
    },
    "version": 3,
}


def sound_journal(path: Path) -> bytes:
    offer = Signed("0x" + "1" * 64, "0x02", Offer(9, 1))
    sending = Sending(7, account(1), 5, "0x", 21_000, "deposit", [offer])
    book = Book(path, 1, account(0))
    book.waiting[7] = sending
    book.deposits["0x" + "2" * 64] = Deposit(sending)
    book.save()
    return path.read_bytes()


def segment() -> bytes:
    head = json.dumps({"schema": parts.SCHEMA, "identity": {"code": "1"}})
    return f'{head}\n["k", "unit", "cpu", "1"]\n'.encode()


def read_segment(path: Path) -> None:
    """Whoever forges a segment seals it, too."""
    content = path.read_bytes()
    path.write_bytes(content + parts._seal(content))
    if not list(parts.everything(path.parent)):
        raise InputError.at(path, "nothing in it is read")


def public_key() -> bytes:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = ec.derive_private_key(7, ec.SECP384R1()).public_key()
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)


def opened_key(path: Path) -> None:
    files = keystore_accounts(path.parent)
    open_keystore(files, lambda: "not the password")


ANSWER = {"jsonrpc": "2.0", "id": 1, "result": {"number": "0x10", "hash": "0x" + "ab" * 32}}
REFUSAL = {"jsonrpc": "2.0", "id": 1, "error": {"code": 3, "message": "reverted", "data": "0x01"}}


@dataclasses.dataclass
class Canned(nodes.Transport):
    """A node that answers everything alike."""

    body: bytes
    status: int = 200

    def exchange(self, _content: bytes) -> tuple[int, bytes, float]:
        return self.status, self.body, 0.0


def number_of(block) -> int:
    if not isinstance(block, dict) or not isinstance(block.get("number"), str):
        raise TypeError("a block")
    return len(block["number"])


def ask(path: Path) -> None:
    node = nodes.Node("http://127.0.0.1:1", transport=Canned(path.read_bytes()))
    node.ask("eth_getBlockByNumber", "latest", False, parse=number_of)


def whole_annex(path: Path) -> None:
    """What an audit does with the annex of a contract."""
    contents = read_annex(read_bytes(path))
    accuracy_of(contents)
    energy_of(contents)


def figures_of_a_checkpoint(path: Path) -> None:
    place = path.with_suffix(".npz")
    place.write_bytes(archive(path.read_bytes()))
    Checkpoint.read(place)


def as_json(content: Any) -> bytes:
    return json.dumps(content, indent=1).encode()


SIGNED = {name: Attestation(bytes(65), 1, 0).to_dict() for name in ("Alpha", "Beta", "Gamma")}
# The file, its sound content, and what reads it.
READERS: dict[str, tuple[str, Callable[[Path], bytes], Callable[[Path], Any]]] = {
    "annex": ("x.json", lambda _: agreed().annex, whole_annex),
    "annex of a chain": ("x.json", lambda _: annex(["Alpha"]), lambda p: read_annex(read_bytes(p))),
    "agreement": (
        "x.json",
        lambda _: as_json(agreed().to_dict()),
        lambda path: Agreement.from_document(read_json(path), path),
    ),
    "attestations": (
        "x.json",
        lambda _: as_json(SIGNED),
        lambda path: read_attestations(read_json(path), path, three().names),
    ),
    "contributions": (
        "x.json",
        lambda _: as_json(SOLUTION),
        lambda path: read_reports(path, agreed(), lambda: [1e9] * 3),
    ),
    "training": (
        "x.json",
        lambda _: as_json(trained(three())),
        lambda path: read_training(path, three()),
    ),
    "settlement": (
        "x.json",
        lambda _: as_json(settled(three())),
        lambda path: read_settlement(path, three()),
    ),
    "checkpoint": ("x.npz", lambda _: archive(as_json(CHECKPOINT)), Checkpoint.read),
    "figures of a checkpoint": ("x.json", lambda _: as_json(CHECKPOINT), figures_of_a_checkpoint),
    "journal": ("x.json", sound_journal, lambda path: Book(path, 1, account(0)).load()),
    "key": ("x.json", lambda _: as_json(KEY), lambda path: keystore_accounts(path.parent)),
    "key that is opened": ("x.json", lambda _: as_json(KEY), opened_key),
    "public key": (
        "Alpha.pub",
        lambda _: public_key(),
        lambda path: public_keys(path.parent, ["Alpha"]),
    ),
    "segment of a sweep": ("x.part", lambda _: segment(), read_segment),
    "answer of a node": ("x.json", lambda _: as_json(ANSWER), ask),
    "refusal of a node": ("x.json", lambda _: as_json(REFUSAL), ask),
}
# These have nothing to say to a sound document but an error, or to a damaged one but that.
ALWAYS_REFUSED = {"refusal of a node", "key that is opened"}


def fuzz(folder: Path, name: str, count: int) -> None:
    file, make, read = READERS[name]
    path = folder / file
    whole, draw = make(path), random.Random(name)  # noqa: S311
    assert assert_read_or_refused(path, read, whole) == (name not in ALWAYS_REFUSED)
    seen = sum(assert_read_or_refused(path, read, damaged(whole, draw)) for _ in range(count))
    assert seen < count
    assert seen > 0 or name in {*ALWAYS_REFUSED, "checkpoint"}  # whose parts have checksums


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """Nobody waits before asking a node again."""
    monkeypatch.setattr(nodes.time, "sleep", lambda _: None)


@pytest.mark.parametrize("name", READERS)
def test_damaged_documents_are_read_or_refused(tmp_path, name):
    fuzz(tmp_path, name, FEW // 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_ten_thousand_damaged_documents_are_read_or_refused(tmp_path, name):
    fuzz(tmp_path, name, MANY)
