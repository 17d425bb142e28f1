"""``tradefl agreement``: the consortium in the contract's integers."""

from fractions import Fraction
from unittest.mock import ANY

from tests.cli.command import assert_refused, run
from tests.consortium.documents import NAMES, document, save

ADDRESSES = [f"0x{k:040x}" for k in (0xA1, 0xB2, 0xC3)]


def addressed(**changes):
    agreed = {f"organization.{k}.address": address for k, address in enumerate(ADDRESSES)}
    return document(agreed | {"settlement": {"chain_id": 7}} | changes)


def test_the_document_is_that_of_the_interface(tmp_path):
    ran = run("agreement", save(tmp_path, addressed()), "--json")
    assert (ran.code, ran.err) == (0, "")
    found = ran.json
    assert found["schema"] == "tradefl/agreement/1"
    assert found["gamma"] == str(round(Fraction("5.12e-9") * 10**33))
    assert (found["lambda_ppb"], found["wei_per_payoff"]) == ("1600000000", "1000000000000000")
    assert found["rho_ppb"] == [["Alpha", "Beta", 60000000], ["Beta", "Gamma", 50000000]]
    assert [organization["name"] for organization in found["organizations"]] == list(NAMES)
    assert [organization["address"].lower() for organization in found["organizations"]] == ADDRESSES
    alpha, beta, _ = found["organizations"]
    assert (alpha["data_bits"], alpha["cpu_levels_hz"]) == (
        "20000000000", ["1000000000", "2000000000", "3000000000"]
    )  # fmt: skip
    cap = 10**9 * int(beta["data_bits"]) + 1600000000 * int(beta["cpu_levels_hz"][-1])
    exact = Fraction(int(found["gamma"]) * 60000000 * cap, 10**36)
    assert int(alpha["bond_wei"]) == -(-exact.numerator // exact.denominator)
    assert len(found["hash"]) == 66
    assert found["chain_id"] == 7
    assert found["largest_call"] == {"call": "deployment of the settlement", "gas": ANY}
    assert found["largest_call"]["gas"] < 16_777_216
    assert found["largest_transaction"]["bytes"] < 30_000


def test_the_hash_is_of_every_figure(tmp_path):
    first = run("agreement", save(tmp_path, addressed()), "--json").json["hash"]
    assert run("agreement", save(tmp_path, addressed()), "--json").json["hash"] == first
    for key, value in {
        "mechanism.incentive_intensity": 5.13e-9,
        "organization.2.samples": 2101,
        "organization.0.address": "0x" + "d4" * 20,
        "name": "other",
    }.items():
        changed = run("agreement", save(tmp_path, addressed(**{key: value})), "--json").json
        assert changed["hash"] != first
    private = addressed(**{"organization.0.profitability": 1.0e4})
    assert run("agreement", save(tmp_path, private), "--json").json["hash"] == first


def test_the_table_holds_the_integers(tmp_path):
    path = save(tmp_path, addressed())
    ran, found = run("agreement", path), run("agreement", path, "--json").json
    assert (ran.code, ran.err) == (0, "")
    for organization in found["organizations"]:
        line = next(line for line in ran.out.splitlines() if organization["name"] in line)
        assert organization["address"] in line
        assert f"{int(organization['bond_wei']):,}" in line
        assert f"<= {int(organization['quantization_bound_wei']):,}" in line
    for key in ("hash", "factory", "vault", "series", "settlement"):
        assert found[key] in ran.out
    assert "deployment of the settlement, up to " in ran.out


def test_stand_ins_are_announced(tmp_path):
    ran = run("agreement", save(tmp_path, document()), "--json")
    assert ran.code == 0
    assert "names no address for 3 of 3 organizations: stand-ins" in ran.err
    assert "names no settlement.chain_id: that of the embedded chain takes its place" in ran.err
    assert len({organization["address"] for organization in ran.json["organizations"]}) == 3
    other = run("agreement", save(tmp_path, document()), "--chain-id", 5, "--json")
    assert "settlement.chain_id" not in other.err
    assert other.json["chain_id"] == 5
    assert other.json["settlement"] != ran.json["settlement"]


def test_a_file_for_another_chain_is_refused(tmp_path):
    path = save(tmp_path, addressed())
    what = "the file is for chain 7, not 8"
    expected = {"consortium.toml: settlement.chain_id": what}
    assert_refused(tmp_path, expected, "agreement", path, "--chain-id", 8)


def test_what_does_not_fit_is_refused(tmp_path):
    path = save(tmp_path, addressed(**{"organization.1.address": ADDRESSES[0]}))
    assert_refused(tmp_path, {"consortium.toml: organization": "occurs 2 times"}, "agreement", path)


def test_it_says_what_everybody_can_read(tmp_path):
    changes = {"training": {"aggregation": "fedmedian"}, "organization.0.quality": 0.5}
    ran = run("agreement", save(tmp_path, addressed(**changes)))
    (line,) = [line for line in ran.out.splitlines() if line.startswith("annex ")]
    for part in ("names", "samples", "accuracy model", "price of energy", "quality", "training"):
        assert part in line
    assert "profitability" not in line
