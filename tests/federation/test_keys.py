"""Public keys from files, as a SuperLink reports them."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tradefl.errors import InputError
from tradefl.federation.keys import public_keys


def new_key():
    return ec.generate_private_key(ec.SECP384R1())


def ssh(key, comment=b""):
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) + comment


def pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_keys_are_read_in_the_format_that_flower_compares(tmp_path):
    keys = {"Alpha": new_key(), "Beta & Söhne": new_key()}
    for name, key in keys.items():
        (tmp_path / f"{name}.pub").write_bytes(ssh(key, b" alpha@example\n"))
    (tmp_path / "Gamma.pub").write_bytes(b"somebody else's")
    read = public_keys(tmp_path, list(keys))
    assert read == {name: pem(key) for name, key in keys.items()}
    # Flower's own conversion of the same key.
    from flwr.supercore.primitives.asymmetric import public_key_to_bytes

    for name, key in keys.items():
        assert read[name] == public_key_to_bytes(key.public_key())


def test_a_compressed_point_is_no_key_of_openssh(tmp_path):
    """The library that reads keys does not call it a wrong value."""
    whole = base64.b64decode(ssh(new_key()).split()[1])
    at = whole.index(b"nistp384", 25) + len("nistp384") + 4
    assert whole[at] == 4  # uncompressed
    content = base64.b64encode(whole[:at] + b"\x02" + whole[at + 1 :])
    (tmp_path / "Alpha.pub").write_bytes(b"ecdsa-sha2-nistp384 " + content)
    with pytest.raises(InputError, match=r"expected a public key of OpenSSH: .*uncompressed point"):
        public_keys(tmp_path, ["Alpha"])


def test_all_that_is_wrong_is_told_at_once(tmp_path):
    good, twin = new_key(), new_key()
    private = good.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    (tmp_path / "Alpha.pub").write_bytes(ssh(good))
    (tmp_path / "Gamma.pub").write_bytes(b"not a key")
    (tmp_path / "Delta.pub").mkdir()
    (tmp_path / "Epsilon.pub").write_bytes(private)
    (tmp_path / "Zeta.pub").write_bytes(b"")
    (tmp_path / "Eta.pub").write_bytes(b"\xff\xfe" * 30)
    (tmp_path / "Theta.pub").write_bytes(ssh(twin))
    (tmp_path / "Iota.pub").write_bytes(ssh(twin, b" by another name"))
    names = ["Alpha", "Beta", "Gamma", "Delta", "Epsilon", "Zeta", "Eta", "Theta", "Iota"]
    with pytest.raises(InputError) as error:
        public_keys(tmp_path, names)
    told = {problem.place: problem.message for problem in error.value.problems}
    assert set(told) == {
        str(tmp_path / f"{name}.pub")
        for name in ("Beta", "Gamma", "Delta", "Epsilon", "Zeta", "Eta", "Iota")
    }
    assert "no such file" in told[str(tmp_path / "Beta.pub")]
    assert "is a directory" in told[str(tmp_path / "Delta.pub")]
    for name in ("Gamma", "Epsilon", "Zeta", "Eta"):
        assert "expected a public key of OpenSSH" in told[str(tmp_path / f"{name}.pub")]
    assert told[str(tmp_path / "Iota.pub")] == "is the key of 'Theta' too"
    assert "PRIVATE" not in str(error.value)


@pytest.mark.parametrize("kind", ["missing", "truncated"])
def test_a_folder_or_a_key_that_is_not_whole_is_an_input_error(tmp_path, kind):
    folder = tmp_path / "keys"
    if kind == "truncated":
        folder.mkdir()
        (folder / "Alpha.pub").write_bytes(ssh(new_key())[:60])
    with pytest.raises(InputError, match=r"Alpha\.pub"):
        public_keys(folder, ["Alpha"])


def test_other_kinds_of_keys_are_read_too(tmp_path):
    key = ed25519.Ed25519PrivateKey.generate()
    (tmp_path / "Alpha.pub").write_bytes(ssh(key))
    assert public_keys(tmp_path, ["Alpha"]) == {"Alpha": pem(key)}
    assert public_keys(tmp_path, []) == {}
