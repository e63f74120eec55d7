"""Every kind of fault is one line that names the table, the key and the way on; all of a file's faults come at once."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.config import WrongConfig, describe, load
from supervisor.config.loading import LARGEST_FILE, REPEATED, SINGLE
from supervisor.core.problem import Exit
from tests.config.loading import GOOD, faults, loaded

KEY = "0123456789abcdef0123456789abcdef01234567"


def test_a_good_config_has_none() -> None:
    assert faults(GOOD) == []


# Added to a good config, and the one line that it makes.
WRONG = [
    # unknown keys, with the nearest name or the table where they live
    ("[limits]\nmax_cals = 3", "[limits] max_cals is not a key of this table: did you mean max_calls?"),
    ("[sesion]\nping = 3", "sesion is not known here: did you mean session?"),
    ("[limits]\nkeepalive = 4", "[limits] keepalive is not a key of this table: it belongs into [session]"),
    ("[limits]\nzzz = 4", "[limits] zzz is not a key of this table: known are max_calls, drain_timeout"),
    ('[limits]\n"" = 4', '[limits] "" is not a key of this table: known are max_calls, drain_timeout'),
    ('[limits]\n"a\\u001b[2Jb\\nc" = 4', "[limits] a [2Jb c is not a key of this table: known are max_calls, drain_timeout"),
    # kinds of table
    ("limits = 3", "limits is 3: it is a table: begin it with [limits]"),
    ("[[limits]]", "limits is a list: it is a table: begin it with [limits]"),
    ("[intake]", "intake is a table: there may be several: begin each with [[intake]]"),
    ("intake = [1]", "intake is 1: begin each with [[intake]]"),
    # types
    ("[limits]\nmax_calls = 1.5", "[limits] max_calls is 1.5: it must be a whole number"),
    ("[limits]\nmax_calls = true", "[limits] max_calls is true: it must be a whole number"),
    ("[session]\nping = true", "[session] ping is true: it must be a number"),
    ('[session]\nping = "4s"', '[session] ping is "4s" (a text): it must be a number'),
    ("[session]\nping = inf", "[session] ping is inf: it must be a number"),
    ("[session]\nping = nan", "[session] ping is nan: it must be a number"),
    ("[session]\nping = 2020-01-01", "[session] ping is a date or a time: it must be a number"),
    ("[session]\nping = []", "[session] ping is a list: it must be a number"),
    ('[session]\nidle = "silent"', '[session] idle is "silent" (a text): it must be "keepalive" or "silence"'),
    ("[retry]\nverdicts = 5", "[retry] verdicts is 5: it must be a table of texts"),
    ("[retry]\nverdicts = {1008 = 5}", "[retry] verdicts is a table: it must be a table of texts, and 5 is in it"),
    # numbers out of range
    ("[limits]\nmax_calls = 0", "[limits] max_calls is 0: it must be 1 to 100000"),
    ("[limits]\nmax_calls = 1234567", "[limits] max_calls is 1234567: it must be 1 to 100000"),
    (f"[limits]\nmax_calls = 0x{'f' * 5000}", "[limits] max_calls is a number of more than 19 digits: it must be a whole number"),
    (f"[limits]\ndrain_timeout = 1{'0' * 400}", "[limits] drain_timeout is a number of more than 19 digits: it must be a number"),
    ("[session]\nframe = 0.3", "[session] frame is 0.3: it must be 0.02 to 0.25 (Deepgram advises these)"),
    ("[session]\nkeepalive = 12", "[session] keepalive is 12: it must be 1 to 9 (the server closes after 10)"),
    ("[buffer]\nseconds = 1.0\nmargin = 0.0", "[buffer] seconds is 1: it must be 5 or more"),
    ("[buffer]\nseconds = 5.0\nmargin = 5.0", "[buffer] margin is 5: it must be less than seconds, 5"),
    ("[retry]\ninitial = 60.0", "[retry] longest is 30: it must be no less than initial, 60"),
    *(
        (f"[buffer]\ntotal = {size}",
         f'[buffer] total is {found}: it must be bytes, such as "1 GiB" (at least 1 MiB), or 0 for half of the memory there is')
        for size, found in [('"1 GX"', '"1 GX" (a text)'), ("5", "5"), ("-1", "-1"), ('"-1 GB"', '"-1 GB" (a text)'),
                            ('""', '"" (a text)'), ("true", "true"), (f"0x{'f' * 5000}", "a number of more than 19 digits")]
    ),
    # what must be there, and together
    ('[[call]]\nsource = "x.wav"', "[[call]] number 2 has no name: it must have one: a text in quotes, not empty"),
    ('[[call]]\nname = "b"', '[[call]] "b" has no source: it must have one: a text in quotes, not empty'),
    ('[[call]]\nname = ""\nsource = "x"', '[[call]] number 2 name is "" (a text): it must be a text in quotes, not empty'),
    ('[[call]]\nname = "b"\nsource = "x"\nencoding = "mulaw"',
     '[[call]] "b" has no sample_rate: headerless audio needs encoding and sample_rate, both'),
    ('[[call]]\nname = "b"\nsource = "x"\nsample_rate = 8000',
     '[[call]] "b" has no encoding: headerless audio needs encoding and sample_rate, both'),
    ('[[call]]\nname = "b"\nsource = "x"\nencoding = "mp3"\nsample_rate = 8000',
     '[[call]] "b" encoding is "mp3" (a text): it must be "linear16" or "linear32" or "mulaw" or "alaw"'),
    ('[[call]]\nname = "line-1"\nsource = "x"', '[[call]] "line-1" name is another call\'s too: give each its own'),
    ('[[call]]\nname = "b"\nsource = "x"\nchannels = 1\nlabels = ["a", "b"]', '[[call]] "b" labels has 2 for 1 channels: give each channel one'),
    ('[[call]]\nname = "b"\nsource = "x"\nlabels = ["a", 5]', '[[call]] "b" labels is a list: it must be a list of texts, and 5 is in it'),
    ('[[call]]\nname = "b\\n"\nsource = "x"', '[[call]] "b" name is not printable, or longer than 200 characters: it names the call everywhere'),
    ('[[call]]\nname = "b"\nsource = "-"\n[[call]]\nname = "c"\nsource = "-"',
     '[[call]] "c" source is already read by [[call]] "b": each reader would get a part of it'),
    ('[[sink]]\nkind = "files"', '[[sink]] "files" has no directory: name the one that the transcripts go into'),
    ('[[sink]]\nkind = "stdout"\ndirectory = "x"',
     '[[sink]] "stdout" directory is not a key of this kind: it belongs to files'),
    ('[[sink]]\nkind = "files"\ndirectory = "./transcripts/"', '[[sink]] "files" writes where another sink does: take one of them out'),
    ('[[sink]]\nkind = "file"\ndirectory = "x"', '[[sink]] "file" kind is "file" (a text): it must be "files" or "stdout" or "webhook"'),
    ("[retry]\nverdicts = {xyz = \"retry\"}", "[retry] verdicts: "),
    ('[retry]\nverdicts = {1008 = "maybe"}', "[retry] verdicts: "),
    # Deepgram's options, as the server would see them
    ('[[call]]\nname = "b"\nsource = "x"\noptions = {utterance_end_ms = 500}', '[[call]] "b" options: utterance_end_ms'),
    ('[[call]]\nname = "b"\nsource = "x"\noptions = {callback = "https://x"}', '[[call]] "b" options: callback'),
    # whoever brings calls, and whoever runs this machine
    ('[admin]\nsocket = "run/x.sock"', '[admin] socket is "run/x.sock" (a text): it must be a path that begins with /'),
    ('[metrics]\nlisten = "9464"', '[metrics] listen is "9464" (a text): it must be an address and a port, such as 127.0.0.1:9464 or [::1]:9464'),
    ('[metrics]\nlisten = "127.0.0.1:0"',
     '[metrics] listen is "127.0.0.1:0" (a text): it must be an address and a port, such as 127.0.0.1:9464 or [::1]:9464'),
    ('[[intake]]\nname = "pbx"\nkind = "audiosocket"', '[[intake]] "pbx" has no listen: such as 127.0.0.1:9092'),
    ('[[intake]]\nname = "drop"\nkind = "directory"', '[[intake]] "drop" has no directory: name the one to watch'),
    ('[[intake]]\nname = "pbx"\nkind = "audiosocket"\nlisten = "0.0.0.0:9092"',
     '[[intake]] "pbx" listen is "0.0.0.0:9092" (a text): say who may connect, such as allow = ["10.0.0.0/24"]'),
    ('[[intake]]\nname = "pbx"\nkind = "tcp"\nlisten = "[::]:9092"',
     '[[intake]] "pbx" listen is "[::]:9092" (a text): say who may connect, such as allow = ["10.0.0.0/24"]'),
    ('[[intake]]\nname = "pbx"\nkind = "audiosocket"\nlisten = "127.0.0.1:9092"\nchannels = 2',
     '[[intake]] "pbx" channels is not a key of this kind: it belongs to tcp'),
    ('[[intake]]\nname = "pbx"\nkind = "tcp"\nlisten = "127.0.0.1:9092"\ncodec_override = "mulaw"',
     '[[intake]] "pbx" codec_override is not a key of this kind: it belongs to audiosocket'),
    ('[[intake]]\nname = "pbx"\nkind = "tcp"\nlisten = "127.0.0.1:9092"\nsample_rate = 8000',
     '[[intake]] "pbx" has no encoding: audio without a header line needs encoding and sample_rate, both'),
    ('[[intake]]\nname = "a"\nkind = "tcp"\nlisten = "127.0.0.1:1"\n[[intake]]\nname = "b"\nkind = "audiosocket"\nlisten = "127.0.0.1:1"',
     '[[intake]] "b" is where [[intake]] "a" is: give each its own place'),
    ('[[intake]]\nname = "a"\nkind = "tcp"\nlisten = "127.0.0.1:1"\n[[intake]]\nname = "a"\nkind = "tcp"\nlisten = "127.0.0.1:2"',
     '[[intake]] "a" name is another intake\'s too: give each its own'),
    ('[[intake]]\nname = "a"\nkind = "twilio"\nlisten = "127.0.0.1:1"',
     '[[intake]] "a" kind is "twilio" (a text): it must be "audiosocket" or "tcp" or "directory"'),
    ('[[intake]]\nname = "a"\nkind = "tcp"\nlisten = "127.0.0.1:1"\noptions = {callback = "https://x"}', '[[intake]] "a" options: callback'),
    ('[[sink]]\nkind = "webhook"\nsecret = "env:S"', '[[sink]] "webhook" has no url: name the one that its events are posted to'),
    ('[[sink]]\nkind = "webhook"\nurl = "https://x/y"',
     '[[sink]] "webhook" has no secret: say where the secret is that its messages are signed with: file:PATH, env:NAME'),
    ('[[sink]]\nkind = "webhook"\nsecret = "env:S"\nurl = "http://crm.example/x"',
     '[[sink]] "webhook" url is not encrypted: transcripts leave this machine over https:// only'),
    ('[[sink]]\nkind = "webhook"\nsecret = "env:S"\nurl = "https://u:p@x/y"',
     '[[sink]] "webhook" url is not the URL of a webhook: it is https://HOST/PATH, without a password in it'),
    ('[[sink]]\nkind = "stdout"\nlast_resort = true', '[[sink]] "stdout" last_resort is not a key of this kind: it belongs to files'),
]  # fmt: skip


@pytest.mark.parametrize("text, line", WRONG, ids=lambda value: value[:50])
def test_a_fault_is_one_line_with_its_place_and_the_way_on(text: str, line: str) -> None:
    (found,) = faults(with_top(text))

    assert found == line if not line.endswith(": ") and "options" not in line else found.startswith(line)


def with_top(text: str) -> str:
    """The good config with more in it; a key that stands in no table has to come first."""
    return GOOD + text if text.startswith("[") else text + GOOD


@pytest.mark.parametrize(
    "at, value, line",
    [
        ("listen", "10.0.0.5", '[[intake]] "pbx" listen is "10.0.0.5" (a text): it must be an address and a port'),
        ("listen", "x:0", '[[intake]] "pbx" listen is "x:0" (a text): it must be an address and a port'),
        ("listen", "x:99999", '[[intake]] "pbx" listen is "x:99999" (a text): it must be an address and a port'),
        ("listen", "x:²", '[[intake]] "pbx" listen is "x:²" (a text): it must be an address and a port'),
        ("allow", "10.0.0.1/24", '[[intake]] "pbx" allow has "10.0.0.1/24" (a text): it must be a network'),
        ("allow", "all", '[[intake]] "pbx" allow has "all" (a text): it must be a network'),
    ],
)
def test_addresses_and_networks_are_looked_at(at: str, value: str, line: str) -> None:
    keys = {"listen": '"127.0.0.1:1"', "allow": "[]"} | {at: f'"{value}"' if at == "listen" else f'["{value}"]'}
    text = "".join(f"{key} = {value}\n" for key, value in keys.items())
    (found,) = faults(f'{GOOD}[[intake]]\nname = "pbx"\nkind = "tcp"\n{text}')

    assert found.startswith(line)


@pytest.mark.parametrize(
    "text, line",
    [
        ("", "version is missing: begin the file with version = 1"),
        ("version = 2", "version is 2: this program reads version 1"),
        ('version = "1"', 'version is "1" (a text): this program reads version 1'),
        ("version = true", "version is true: this program reads version 1"),
        ("version = 1.0", "version is 1: this program reads version 1"),
        (f"version = 0x{'f' * 5000}", "version is a number of more than 19 digits: this program reads version 1"),
        ("[version]", "version is a table: this program reads version 1"),
    ],
    ids=lambda value: value[:20],
)
def test_the_version_is_1(text: str, line: str) -> None:
    assert faults(text)[0] == line


@pytest.mark.parametrize(
    "text, line",
    [
        (b"version = ", "is not TOML: Invalid value (at end of document)"),
        (b"version = 1\nversion = 1", "is not TOML: Cannot overwrite a value"),
        (b"[limits]\n[limits]", "is not TOML: Cannot declare"),
        (b"a = 1\nb = \"\xff\"", "is not UTF-8 in line 2: save it as UTF-8"),
        (b"version = " + b"9" * 5000, "has a number in it that is too long to be read"),
        (b"a = " + b"[" * 5000 + b"]" * 5000, "is nested too deeply"),
        (b"#" * (LARGEST_FILE + 1), "is larger than any config"),
        (b"\0", "is not TOML: "),
    ],
    ids=lambda value: str(value)[:20],
)  # fmt: skip
def test_what_cannot_be_read_at_all_is_one_line(text: bytes, line: str) -> None:
    (found,) = faults(text)

    assert found.startswith(line)
    assert found.isprintable()


def test_a_byte_order_mark_and_windows_line_ends_are_no_fault() -> None:
    assert faults(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode()) == []


@pytest.mark.parametrize(
    "name, reason", [("none", "No such file"), (".", "Is a directory"), ("a\0b", "this is no path"), ("a" * 300, "name too long")]
)
def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(WrongConfig, match=reason) as wrong:
        load(f"{tmp_path}/{name}", {})
    assert wrong.value.exit_code is Exit.CONFIG
    assert str(wrong.value).isprintable()


def test_without_calls_there_is_nothing_to_do() -> None:
    assert faults("version = 1") == ["has no [[call]] and no [[intake]]: there is nothing to transcribe: see config/supervisor.toml"]


def test_more_calls_than_are_allowed() -> None:
    found = faults(GOOD + '[limits]\nmax_calls = 1\n[[call]]\nname = "b"\nsource = "b.wav"\n')

    assert found == ["[limits] max_calls is 1: there are 2 calls in this file"]


def test_all_faults_come_at_once_in_the_order_of_the_tables() -> None:
    text = """
    [limts]
    [deepgram]
    urll = "wss://x"
    api_key = "key"
    [session]
    ping = "x"
    frame = 7
    [[call]]
    sourc = "x"
    [[sink]]
    kind = "x"
    """
    found = faults(text)

    assert [line.split(" is ")[0].split(" has ")[0].split(": ")[0] for line in found] == [
        "limts", "[deepgram] urll", "[session] ping", "[[call]] number 1 sourc", "[[call]] number 1", "[[call]] number 1",
        '[[sink]] "x" kind', "version", "[session] frame", "[deepgram]",
    ]  # fmt: skip


def test_a_fault_of_all_calls_options_is_told_once() -> None:
    calls = "".join(f'[[call]]\nname = "c{number}"\nsource = "x"\n' for number in range(5))
    found = faults(f'version = 1\n[deepgram]\noptions = {{utterance_end_ms = 5}}\n{calls}[[sink]]\nkind = "stdout"')

    assert len(found) == 1
    assert found[0].startswith("[deepgram] options: utterance_end_ms")


class TestSecrets:
    @pytest.mark.parametrize(
        "text",
        [
            f'api_key = "{KEY}"',
            f'api_key = "Token {KEY}"',
            f'api_key = "key:{KEY}"',
            f'api_key = ["{KEY}"]',
            f'api_key = "env:{KEY}"',
            f'api_key = "credential:/{KEY}"',
            f'url = "wss://{KEY}@host"',
            f'url = "wss://me:{KEY}@host"',
            f'url = "https://host?key={KEY}"',
            f'url = "wss://host/v2?token={KEY}"',
            f'ca = "{KEY}"',
            f'options = "{KEY}"',
        ],
    )
    def test_no_fault_shows_one(self, text: str) -> None:
        found = faults(GOOD.replace('url = "ws://127.0.0.1:8080"', text))

        assert found
        assert KEY not in " ".join(found)

    def test_nor_does_the_description(self) -> None:
        more = f"""
        [[call]]
        name = "b"
        source = "command:ffmpeg -i https://me:{KEY}1@host/x -f wav -"
        options = {{ api_key = "{KEY}2", access_token = ["{KEY}3"], keyterm = ["Acme"] }}
        """
        text = GOOD.replace(
            "ws://127.0.0.1:8080", f'ws://127.0.0.1/v1/listen?token={KEY}4&keyterm=word"\n'
            f"api_key = \"command:curl -H 'Authorization: Bearer {KEY}5' https://u:{KEY}6@host"
        )  # fmt: skip
        shown = describe(loaded(text + more))

        assert KEY not in shown
        assert "keyterm=word" in shown
        assert "https://***@host/x" in shown
        assert 'keyterm = ["Acme"]' in shown


def test_the_url_of_the_environment_is_blamed_for_its_own_faults() -> None:
    text = GOOD.replace('[deepgram]\nurl = "ws://127.0.0.1:8080"\n', "")

    assert faults(text, {"DEEPGRAM_URL": "https://x"})[0].startswith("$DEEPGRAM_URL: the URL begins with https://")
    assert loaded(text, {"DEEPGRAM_URL": "ws://127.0.0.1:5"}).deepgram.url == "ws://127.0.0.1:5"
    assert loaded(GOOD, {"DEEPGRAM_URL": "ws://127.0.0.1:5"}).deepgram.url == "ws://127.0.0.1:8080"


def test_a_key_is_not_sent_in_clear() -> None:
    text = GOOD.replace("ws://127.0.0.1:8080", "ws://example.com")

    assert faults(text, {"DEEPGRAM_API_KEY": KEY}) == [
        "[deepgram] url: with ws:// the key would be sent unencrypted to example.com: begin the URL with wss://"
    ]
    assert faults(text) == []


def test_the_journal_gets_transcripts_only_when_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervisor.config.checking.is_journal", lambda fd, _environ: fd == 1)
    text = GOOD[: GOOD.index("[[sink]]")]

    assert faults(text) == ['has no [[sink]]: transcripts would go into the journal: add one of kind "files", or "stdout"']
    assert faults(text + '[[sink]]\nkind = "stdout"') == []


# Anything that TOML can say, much of it with the names that are known here.
KEYS = sorted({"version", *SINGLE, *REPEATED, "zzz", "", "é"} | {
    name for cls in (*SINGLE.values(), *REPEATED.values()) for name in cls.__dataclass_fields__
})  # fmt: skip
STRINGS = st.one_of(
    st.sampled_from(["files", "stdout", "wss://x", "ws://127.0.0.1", "env:X", "command:x", "1 GiB", "fifo:/x", "-", "nova-3",
                     "mulaw", "127.0.0.1:80", "10.0.0.0/8", "retry", "1008"]),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=10),
)  # fmt: skip
VALUES = st.recursive(
    st.one_of(st.booleans(), st.integers(), st.integers(0, 20), st.floats(), STRINGS, st.dates(), st.times()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(st.sampled_from(KEYS), STRINGS), inner, max_size=6)
    ),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=8)


def toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return '"' + "".join(f"\\U{ord(character):08x}" for character in value) + '"'
        case list():
            return "[" + ",".join(map(toml, value)) + "]"
        case dict():
            return "{" + ",".join(f"{toml(key)}={toml(held)}" for key, held in value.items()) + "}"
        case int() | float():
            return repr(value)
        case _:
            return value.isoformat()  # type: ignore[attr-defined, no-any-return]


@settings(max_examples=200, deadline=None)
@given(DOCUMENTS)
def test_nothing_that_toml_can_say_is_more_than_a_fault(document: dict[str, object]) -> None:
    text = "".join(f"{toml(key)}={toml(value)}\n" for key, value in document.items())
    tomllib.loads(text)
    for line in faults(text) or describe(loaded(text)).split("\n"):
        assert line.isprintable()
        assert len(line) < 3000


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(SINGLE.keys() | REPEATED.keys())), st.data())
def test_nor_is_any_value_of_a_known_key(table: str, data: st.DataObject) -> None:
    """One key of one table changed in a config that is otherwise good."""
    cls = SINGLE.get(table) or REPEATED[table]
    key = data.draw(st.sampled_from(sorted(cls.__dataclass_fields__)))
    value = data.draw(VALUES)
    heading = f"[[{table}]]" if table in REPEATED else f"[{table}]"
    needed = {"call": 'name="n"\nsource="s"\n', "sink": 'kind="stdout"\n', "intake": 'name="n"\nkind="tcp"\n'}
    lines = [line for line in needed.get(table, "").splitlines() if not line.startswith(f"{key}=")]
    base = GOOD.replace('[deepgram]\nurl = "ws://127.0.0.1:8080"\n', "") if table == "deepgram" else GOOD
    text = "\n".join([base, heading, *lines, f"{key}={toml(value)}"])
    for line in faults(text) or describe(loaded(text)).split("\n"):
        assert line.isprintable()
        assert len(line) < 3000


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace"))))
def test_nor_are_any_bytes(data: bytes) -> None:
    with pytest.raises(WrongConfig):
        loaded(data)
