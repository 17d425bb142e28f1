"""Foreign text on its way out: nothing controls a terminal, and no secret is shown."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradefl.foreign import (
    frame_csv,
    hidden_secrets,
    printable,
    quoted,
    read_cell,
    spreadsheet_cell,
)
from tradefl.foreign.printing import escaped_json

# What a rival would write into a name, a header or a reason.
CONTROLS = {
    "\x1b[2J\x1b[H": r"\x1b[2J\x1b[H",
    "a\nphase settled\n": r"a\x0aphase settled\x0a",
    "a\rb": r"a\x0db",
    "\x9b31m": r"\x9b31m",  # CSI in one character
    "\u202eahplA": r"\u202eahplA",
    "Al\u200bpha": r"Al\u200bpha",
    "\u2066x\u2069": r"\u2066x\u2069",
    "Al\u3164pha": r"Al\u3164pha",
    "Al\ufe0fpha": r"Al\ufe0fpha",
    "a\u2028b\u2029c": r"a\u2028b\u2029c",
    "\ud800": r"\ud800",
    "\U000e0041": r"\U000e0041",
    "\x00\x7f": r"\x00\x7f",
    "\ufeffx": r"\ufeffx",
}


@pytest.mark.parametrize(("text", "shown"), CONTROLS.items(), ids=ascii)
def test_what_would_control_a_terminal_is_escaped(text, shown):
    assert printable(text) == shown
    assert printable(text, lines=True) == shown.replace(r"\x0a", "\n")
    assert quoted(text) == f"'{shown}'"


@pytest.mark.parametrize(
    "text",
    ["Müller & Söhne", "北京协和分院", "Hôpital de l'Est", "a\u00a0b", "Ελλάς", "", "שלום", "😀"],
)
def test_what_people_write_stays(text):
    assert printable(text) == text


def test_long_text_is_cut_before_it_is_worked_on():
    assert printable("x" * 10**7, 10) == "xxxxxxx..."
    assert printable("x" * 10, 10) == "x" * 10
    assert len(printable("\x1b" * 10**7, 10)) == 10
    assert len(quoted("\x1b" * 10**7)) == 42


@given(st.text())
def test_printed_text_is_one_line_without_controls(text):
    shown = printable(text)
    assert all(c.isprintable() or c.isspace() for c in shown)
    assert len(shown.splitlines()) <= 1


@given(st.recursive(st.text(), lambda inner: st.dictionaries(st.text(), inner, max_size=3)))
def test_escaped_json_means_the_same(value):
    for ascii_only in (False, True):
        text = escaped_json(json.dumps(value, ensure_ascii=ascii_only, indent=2))
        assert json.loads(text) == value
        assert printable(text, lines=True) == text


# --- secrets ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://rpc.example.org", "https://rpc.example.org"),
        ("http://127.0.0.1:8545/", "http://127.0.0.1:8545/"),
        ("https://rpc.example.org/v3/0123abcd", "https://rpc.example.org/***"),
        ("wss://rpc.example.org/?key=0123abcd", "wss://rpc.example.org/***"),
        ("https://user:word@rpc.example.org:8545", "https://***@rpc.example.org:8545"),
        ("https://u@v@rpc.example.org/p#f", "https://***@rpc.example.org/***"),
        ("https://user:wo/rd@host", "https://user:wo/***"),
        ("//user:word@host/x", "//***@host/***"),
        ("(https://h.example/KEY).", "(https://h.example/***)."),
        ('"http://h.example/KEY" failed', '"http://h.example/***" failed'),
        ("no address, a // b and 1/2", "no address, a // b and 1/2"),
    ],
)
def test_secrets_in_an_address_are_hidden(text, shown):
    assert hidden_secrets(text) == shown


@pytest.mark.parametrize(
    "address",
    [
        "https://user:passw0rd@rpc.example.org:443/v3/apikey0123?token=query0123",
        "user:passw0rd@rpc.example.org:443/v3/apikey0123?token=query0123",
        "https://us%65r:passw0rd@rpc.example.org/v3/apikey0123/?token=query0123#x",
    ],
)
@pytest.mark.parametrize(
    "message",
    [
        "{0}",
        "cannot reach {0}: refused",
        "HTTPSConnectionPool(host='rpc.example.org'): Max retries exceeded with url: "
        "/v3/apikey0123?token=query0123 (Caused by ...)",
        "401 for /v3/apikey0123, token=query0123, password passw0rd",
    ],
)
def test_secrets_of_a_known_address_are_hidden_wherever_they_occur(address, message):
    shown = hidden_secrets(message.format(address), address)
    for secret in ("passw0rd", "apikey0123", "query0123"):
        assert secret not in shown
    assert "example.org" in shown or "401" in shown


@pytest.mark.parametrize(
    "text", ["/" * 2_000_000, "//" + "a@" * 1_000_000, "a" * 2_000_000 + "://", "http://" * 300_000]
)
def test_hiding_takes_linear_time(text):
    # A pattern that starts again at each slash would take hours here.
    assert len(hidden_secrets(text, "https://host/" + "k" * 1000)) <= len(text) + 10


# --- spreadsheets -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        '=HYPERLINK("http://example.org")',
        "+1+cmd",
        "-2+3",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\uff1d1",
        "'=1",
        "''=1",
        "-",
        "+49 30 1234",
    ],
)
def test_a_formula_becomes_text(text):
    assert spreadsheet_cell(text) == "'" + text
    assert read_cell(spreadsheet_cell(text)) == text


@pytest.mark.parametrize(
    "text", ["Alpha", "-1.5", "+3e-7", "-.5", "", "'quoted'", "a=b", "1e9;2e9"]
)
def test_numbers_and_other_text_stay(text):
    assert spreadsheet_cell(text) == text
    assert read_cell(text) == text


@given(st.text(alphabet="'=+-@1.e\t\rax", max_size=8))
def test_cells_are_read_as_they_were_written(text):
    assert read_cell(spreadsheet_cell(text)) == text


def test_a_table_for_a_spreadsheet():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {
            "=name": ["=1+1", "Alpha", None],
            "amount": [-1.5, 0.1, 2.0],
            "text": ["-2", "+x", "\u00fc"],
        }
    )
    expected = "'=name,amount,text\n'=1+1,-1.5,-2\nAlpha,0.1,'+x\n,2.0,\u00fc\n"
    assert frame_csv(frame) == expected.encode()
    assert frame_csv(frame, excel=True) == b"\xef\xbb\xbf" + expected.encode()
    assert list(frame.columns) == ["=name", "amount", "text"]  # the table itself stays
