"""Deepgram's options: what is sent for them, what is refused with which fix, and the URL they go into."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.audio import AudioFormat
from supervisor.core.options import (
    WrongOptions,
    check_options,
    check_url,
    hide_secrets,
    listen_url,
    options_from,
    options_of,
)
from supervisor.core.options.parameters import KNOWN, MODELS
from supervisor.core.options.spelling import Value
from supervisor.core.options.url import is_loopback
from supervisor.core.problem import Exit, Problem

MONO = AudioFormat("linear16", 16000, 1)
STEREO = AudioFormat("mulaw", 8000, 2)
DEEPGRAM = "wss://api.deepgram.com/v1/listen"


def sent(options: Mapping[str, Value], audio: AudioFormat = MONO, url: str = "") -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, value in check_options(options, audio, url).query:
        found.setdefault(key, []).append(value)
    return found


def dialled(base: str) -> str | Problem:
    try:
        return check_url(base, has_key=True)
    except Problem as problem:
        return problem


def test_what_is_sent_when_nothing_is_said() -> None:
    assert check_options({}, MONO).query == (
        ("model", "nova-3"),
        ("encoding", "linear16"),
        ("sample_rate", "16000"),
        ("channels", "1"),
        ("smart_format", "true"),
        ("interim_results", "true"),
    )
    assert check_options({}, MONO).warnings == ()


def test_more_than_one_channel_is_transcribed_one_by_one() -> None:
    assert sent({}, STEREO)["multichannel"] == ["true"]
    assert sent({"multichannel": False}, STEREO)["multichannel"] == ["false"]
    assert "multichannel" not in sent({}, MONO)


def test_interims_are_always_asked_for_and_shown_unless_they_are_refused() -> None:
    for off in (False, "false", "False"):
        checked = check_options({"interim_results": off}, MONO)

        assert ("interim_results", "true") in checked.query
        assert not checked.show_interims
    assert check_options({}, MONO).show_interims
    assert check_options({"interim_results": "true"}, MONO).show_interims


@pytest.mark.parametrize(
    "key, value, wire",
    [
        ("punctuate", True, ["true"]),
        ("punctuate", "TRUE", ["true"]),
        ("smart_format", False, ["false"]),
        ("endpointing", 300, ["300"]),
        ("endpointing", "0300", ["300"]),
        ("endpointing", False, ["false"]),
        ("endpointing", "true", ["true"]),
        ("utterance_end_ms", 1000, ["1000"]),
        ("utterance_end_ms", "1500", ["1500"]),
        ("language", "multi", ["multi"]),
        ("language", "zh-Hans-CN", ["zh-Hans-CN"]),
        ("version", 2024, ["2024"]),
        ("model", " nova-2 ", ["nova-2"]),
        ("diarize_model", "latest", ["latest"]),
        ("redact", True, ["true"]),
        ("redact", ["pci", "SSN"], ["pci", "ssn"]),
        ("keyterm", ["Acme", "Größe & Co"], ["Acme", "Größe & Co"]),
        ("search", "one", ["one"]),
        ("replace", ["a:b", "gone:"], ["a:b", "gone:"]),
        ("extra", "order:12:30", ["order:12:30"]),
        ("tag", "x" * 128, ["x" * 128]),
        ("mip_opt_out", True, ["true"]),
        ("my_own", True, ["true"]),
        ("my_own", [1, 2.5, ""], ["1", "2.5", ""]),
    ],
)
def test_values_as_they_go_on_the_wire(key: str, value: Value, wire: list[str]) -> None:
    assert sent({key: value})[key] == wire


@pytest.mark.parametrize(
    "options, cause, fix",
    [
        ({"punctuate": "yes"}, "punctuate=yes", "write true or false"),
        ({"punctuate": 1}, "punctuate=1", "write true or false"),
        ({"punctuate": ["true", "false"]}, "punctuate is given 2 times", "one value"),
        ({"punctuate": []}, "punctuate is an empty list", "leave it out"),
        ({"model": ""}, "model is empty", "leave it out"),
        ({"model": True}, "model=true", "a text"),
        ({"endpointing": "soon"}, "endpointing=soon", "milliseconds in digits, or false"),
        ({"endpointing": -1}, "endpointing=-1", "milliseconds in digits, or false"),
        ({"utterance_end_ms": 999}, "utterance_end_ms=999", "1000 or more"),
        ({"utterance_end_ms": "1e3"}, "utterance_end_ms=1e3", "1000 or more"),
        ({"utterance_end_ms": 1000.5}, "utterance_end_ms=1000.5", "1000 or more"),
        ({"utterance_end_ms": True}, "utterance_end_ms=true", "1000 or more"),
        ({"utterance_end_ms": "\u0661\u0660\u0660\u0660"}, "utterance_end_ms=\u0661\u0660\u0660\u0660", "1000 or more"),
        ({"diarize_model": "v2"}, "diarize_model=v2", "latest, v1; v2 is for recordings only"),
        ({"redact": "pcii"}, "redact=pcii", "pci, numbers"),
        ({"redact": "pci,ssn"}, "redact=pci,ssn", "repeat the key"),
        ({"redact": ["false", "pci"]}, "redact=false beside other values", "leave the false out"),
        ({"language": "english"}, "language=english", "such as en"),
        ({"language": "en_US"}, "language=en_US", "en-US"),
        ({"tag": "x" * 129}, "tag=xxx", "129 characters; Deepgram takes at most 128"),
        ({"extra": "k:" + "v" * 2047}, "extra=k:v", "2049 characters; Deepgram takes at most 2048"),
        ({"extra": "order"}, "extra=order", "write key:value"),
        ({"replace": ":b"}, "replace=:b", "write find:replace"),
        ({"search": ["s"] * 51}, "search is given 51 times", "at most 50"),
        ({"model": "nova-2", "keywords": ["k"] * 101}, "keywords is given 101 times", "at most 100"),
        ({"model": "nova-2", "keywords": "Acme:loud"}, "keywords=Acme:loud", "Acme:1.5"),
        ({"model": "nova-2", "keywords": "Acme:inf"}, "keywords=Acme:inf", "Acme:1.5"),
        ({"model": "nova-2", "keywords": ":2"}, "keywords=:2", "Acme:1.5"),
        ({"keywords": "Acme"}, "keywords does not go with model=nova-3", "use keyterm"),
        ({"model": "Nova-3-Medical", "keywords": "Acme"}, "keywords does not go with", "use keyterm"),
        ({"model": "nova-2", "keyterm": "Acme"}, "keyterm does not go with model=nova-2", "use model=nova-3, or keywords"),
        ({"keyterm": ["a b c"] * 167}, "keyterm has 501 words", "500 tokens"),
        ({"model": "flux-general-en"}, "model=flux-general-en is Flux", "use nova-3"),
        ({"callback": "https://example.com"}, "callback: results would leave the connection", "leave it out"),
        ({"callback_method": "POST"}, "callback_method", "leave it out"),
        ({"encoding": "opus"}, "encoding=opus is compressed", "leave it out"),
        ({"encoding": "mulaw"}, "encoding=mulaw is not the audio's, which is linear16", "--encoding"),
        ({"encoding": "pcm"}, "encoding=pcm", "linear16, linear32, mulaw, alaw"),
        ({"sample_rate": 8000}, "sample_rate=8000 is not the audio's, which is 16000", "--sample-rate"),
        ({"channels": 0}, "channels=0", "1 or more"),
        ({"channels": "2"}, "channels=2 is not the audio's, which is 1", "--channels"),
        ({"dictation": True}, "dictation=true needs punctuation", "add punctuate=true"),
        ({"": "x"}, "an option has no name", "leave it out"),
        ({"model": {"name": "nova-3"}}, "model has a value of type dict", "write a text"),
        ({"keyterm": [["Acme"]]}, "keyterm has a value of type list", "write a text"),
        ({"my_own": None}, "my_own has a value of type NoneType", "write a text"),
        ({"my_own": []}, "my_own is an empty list", "leave it out"),
        ({"keyterm": "\udcff"}, "keyterm is not valid UTF-8", "UTF-8"),
        ({"k\udcff": "x"}, "is not valid UTF-8", "UTF-8"),
        ({"language": "\x1b[2Jx"}, "language=[2Jx", "such as en"),
    ],
)
def test_what_is_refused_names_the_key_and_the_fix(options: Mapping[str, Value], cause: str, fix: str) -> None:
    with pytest.raises(WrongOptions) as caught:
        check_options(options, MONO)

    assert cause in caught.value.cause
    assert fix in caught.value.hint
    assert len(caught.value.faults) == 1
    assert caught.value.exit_code is Exit.USAGE
    assert str(caught.value).isprintable()


def test_every_fault_is_told_at_once_and_on_one_line() -> None:
    with pytest.raises(WrongOptions) as caught:
        check_options({"punctuate": "yes", "utterance_end_ms": 5, "model": "flux-general-en"}, MONO)

    assert [fault.cause.split("=")[0] for fault in caught.value.faults] == ["punctuate", "utterance_end_ms", "model"]
    assert str(caught.value) == "; ".join(str(fault) for fault in caught.value.faults)
    assert "\n" not in str(caught.value)


def test_more_channels_than_multichannel_takes() -> None:
    many = AudioFormat("linear16", 16000, 21)

    with pytest.raises(WrongOptions, match="multichannel with 21 channels: Deepgram takes at most 20"):
        check_options({}, many)
    assert sent({"multichannel": "false"}, many)["multichannel"] == ["false"]


def test_options_that_agree_with_the_audio_pass() -> None:
    options: Mapping[str, Value] = {"encoding": "LINEAR16", "sample_rate": "16000", "channels": 1}

    assert check_options(options, MONO).query == check_options({}, MONO).query


def test_dictation_with_punctuation_passes() -> None:
    assert sent({"dictation": True, "punctuate": True})["dictation"] == ["true"]


def test_weights_and_colons_in_keywords() -> None:
    keywords = ["Acme", "Acme:1.5", "a:b:-2"]

    assert sent({"model": "nova-2", "keywords": keywords})["keywords"] == keywords


@pytest.mark.parametrize("model", ["custom", "1f2e3d4c-0000-1111-2222-333344445555"])
def test_a_model_of_ones_own_may_have_either_kind_of_term(model: str) -> None:
    for key in ("keyterm", "keywords"):
        assert check_options({"model": model, key: "Acme"}, MONO).warnings == ()


@pytest.mark.parametrize(
    "options, warnings",
    [
        ({"smart-format": "true"}, ['"smart-format" is no known option: did you mean smart_format?']),
        ({"Punctuate": True}, ['"Punctuate" is no known option: did you mean punctuate?']),
        ({"my_own": "x"}, ['"my_own" is no known option; it is sent as it is']),
        ({"my\x1b[31m": "x"}, ['"my [31m" is no known option; it is sent as it is']),
        ({"eot_threshold": 0.7}, ["eot_threshold belongs to Flux; /v1/listen may refuse it"]),
        ({"diarize": True}, ["diarize: use diarize_model=latest, which takes its place"]),
        ({"alternatives": 2}, ["alternatives: Deepgram no longer supports it"]),
        ({"model": "nova3"}, ["model=nova3 is not known: did you mean nova-3?"]),
        ({"model": "qqqq"}, ["model=qqqq is not known; it is sent as it is"]),
        ({"model": "whisper-large"}, ["model=whisper-large: Deepgram has Whisper for recordings only, and answers 405"]),
        ({"no_delay": True, "redact": "pci"}, ["no_delay=true makes redact miss more"]),
        ({"no_delay": True, "redact": False}, []),
        ({"utterance_end_ms": 5001}, ["utterance_end_ms above 5000 is refused by some servers"]),
        ({"keyterm": ["k"] * 101}, ["keyterm is given 101 times; all together may have 500 tokens"]),
        (
            {"search": "x" * 7000},
            ["the options make a URL of more than 7000 characters, which a server may refuse with 414"],
        ),
    ],
)
def test_what_only_warns(options: Mapping[str, Value], warnings: list[str]) -> None:
    assert list(check_options(options, MONO).warnings) == warnings


@pytest.mark.parametrize(
    "redact, redacts", [(True, True), (False, False), ("false", False), (["pci"], True), (["numbers", "ssn"], True)]
)
def test_whether_anything_is_redacted(redact: Value, redacts: bool) -> None:
    assert check_options({"redact": redact}, MONO).redacts is redacts
    assert not check_options({}, MONO).redacts


def test_each_known_model_passes_without_a_warning() -> None:
    for model in MODELS:
        assert check_options({"model": model}, MONO).warnings == ()


def test_a_command_lines_options() -> None:
    assert options_from([]) == {}
    assert options_from(["model=nova-2", "keyterm=a", " keyterm =b=c", "tag="]) == {
        "model": "nova-2",
        "keyterm": ["a", "b=c"],
        "tag": "",
    }


@pytest.mark.parametrize("argument", ["model", "=nova-3", "", " =x"])
def test_an_option_without_a_key_or_a_value_is_refused(argument: str) -> None:
    with pytest.raises(Problem, match="is not KEY=VALUE: such as --option language=de"):
        options_from([argument])


class TestOptionsInTheUrl:
    def test_they_count_as_given_and_defaults_do_not_overrule_them(self) -> None:
        assert sent({}, url=f"{DEEPGRAM}?model=nova-2&keywords=a&keywords=b") == {
            **sent({}),
            "model": ["nova-2"],
            "keywords": ["a", "b"],
        }

    def test_given_options_win(self) -> None:
        url = f"{DEEPGRAM}?model=nova-2&tag=x&tag=y"

        assert sent({"model": "nova-3", "tag": "z"}, url=url) == {**sent({}), "tag": ["z"]}

    def test_they_are_checked_too(self) -> None:
        with pytest.raises(WrongOptions, match="callback"):
            check_options({}, MONO, f"{DEEPGRAM}?callback=https://example.com")


class TestTheUrl:
    @pytest.mark.parametrize(
        "base, checked",
        [
            (DEEPGRAM, DEEPGRAM),
            (f" {DEEPGRAM}\n", DEEPGRAM),
            ("wss://api.eu.deepgram.com", "wss://api.eu.deepgram.com/v1/listen"),
            ("wss://api.eu.deepgram.com/", "wss://api.eu.deepgram.com/v1/listen"),
            ("WSS://API.Deepgram.COM:0443?tag=A", "wss://api.deepgram.com:443/v1/listen?tag=A"),
            ("wss://host:", "wss://host/v1/listen"),
            ("wss://host/own/path", "wss://host/own/path"),
            ("wss://host/ä%20b", "wss://host/%C3%A4%20b"),
            ("ws://localhost:8080", "ws://localhost:8080/v1/listen"),
            ("ws://LOCALHOST:8080", "ws://localhost:8080/v1/listen"),
            ("ws://127.8.9.10:1", "ws://127.8.9.10:1/v1/listen"),
            ("ws://[::1]:8080", "ws://[::1]:8080/v1/listen"),
            ("wss://deepgram_api:8080", "wss://deepgram_api:8080/v1/listen"),
        ],
    )
    def test_one_that_can_be_dialled(self, base: str, checked: str) -> None:
        assert check_url(base, has_key=True) == checked
        assert check_url(checked, has_key=True) == checked

    def test_in_clear_beyond_this_machine_only_without_a_key(self) -> None:
        assert check_url("ws://10.0.0.5:8080", has_key=False) == "ws://10.0.0.5:8080/v1/listen"
        with pytest.raises(Problem, match=r"unencrypted to 10\.0\.0\.5: begin the URL with wss://"):
            check_url("ws://10.0.0.5:8080", has_key=True)

    @pytest.mark.parametrize(
        "base, said",
        [
            ("", "empty"),
            ("wss://a b", "a space"),
            ("wss://a\\b", "a backslash"),
            ("wss://a\x00", "unprintable"),
            ("wss://h\udcff", "unprintable"),
            ("api.deepgram.com", "no scheme: begin it with wss://"),
            ("localhost:8080", "no scheme"),
            ("me:geheim@host", "no scheme"),
            ("https://api.deepgram.com", "https://: begin it with wss://"),
            ("http://localhost:8080", "http://: begin it with ws://"),
            ("ftp://host", "ftp://: begin it with wss://"),
            ("wss://", "names no host"),
            ("wss:///v1/listen", "names no host"),
            ("wss://:443", "names no host"),
            ("wss://host:0", "port is 0"),
            ("wss://host:65536", "port is not valid"),
            ("wss://host:https", "port is not valid"),
            ("wss://host:\uff14\uff14\uff13", "port is not valid"),
            ("wss://[::1", "host or port is not valid"),
            ("wss://..", "is not valid: write it in ASCII"),
            ("wss://münchen.example", "is not valid: write it in ASCII"),
            ("wss://me:geheim@host", "a user name or a password"),
            ("wss://geheim@host", "a user name or a password"),
            ("wss://host/#top", "a fragment"),
            ("wss://host/?tag=#1", "written %23"),
            ("wss://host/#", "a fragment"),
            ("wss://host/v2/listen", "use /v1/listen"),
            ("wss://host/V2", "use /v1/listen"),
            ("wss://host/proxy/v%32/listen", "use /v1/listen"),
            ("wss://host/?tag=%ff", "not UTF-8"),
            ("ws://localhost.example.com", "unencrypted to localhost.example.com"),
            ("ws://127.0.0.1.example.com", "unencrypted"),
            ("ws://0.0.0.0", "unencrypted"),
            ("ws://[::ffff:127.0.0.1]", "unencrypted"),
            ("ws://2130706433", "unencrypted"),
        ],
    )
    def test_one_that_cannot_be_dialled_has_one_line_with_the_fix(self, base: str, said: str) -> None:
        with pytest.raises(Problem) as caught:
            check_url(base, has_key=True)

        assert said in str(caught.value)
        assert str(caught.value).isprintable()
        assert "geheim" not in str(caught.value)

    @given(st.text())
    def test_any_text_is_a_url_or_a_problem(self, text: str) -> None:
        for base in (text, f"wss://{text}", f"wss://host/{text}"):
            url = dialled(base)
            if isinstance(url, Problem):
                assert str(url).isprintable()
            else:
                assert urlsplit(url).hostname
                assert check_url(url, has_key=True) == url

    @given(
        st.lists(st.tuples(st.text(min_size=1), st.text())),
        st.lists(st.tuples(st.text(min_size=1), st.text())),
    )
    def test_every_option_arrives_as_it_was_and_wins_over_the_urls_own(
        self, query: list[tuple[str, str]], carried: list[tuple[str, str]]
    ) -> None:
        url = listen_url(listen_url(DEEPGRAM, carried), query)

        given_keys = {key for key, _ in query}
        assert url.isascii()
        assert parse_qsl(urlsplit(url).query, keep_blank_values=True) == [
            *query,
            *(pair for pair in carried if pair[0] not in given_keys),
        ]

    @given(st.dictionaries(st.text(min_size=1), st.text() | st.lists(st.text(), min_size=2)))
    def test_the_options_of_a_url_are_those_that_went_into_it(self, options: dict[str, str | list[str]]) -> None:
        pairs = [
            (key, value)
            for key, values in options.items()
            for value in (values if isinstance(values, list) else [values])
        ]

        assert options_of(listen_url(DEEPGRAM, pairs)) == options

    def test_a_url_without_options(self) -> None:
        assert listen_url(DEEPGRAM, ()) == DEEPGRAM
        assert options_of(DEEPGRAM) == {}


@pytest.mark.parametrize(
    "url, shown",
    [
        (DEEPGRAM, DEEPGRAM),
        ("wss://me@host/", "wss://***@host/"),
        ("wss://me:wo/rd@host/", "wss://***@host/"),
        ("wss://h/?api_key=geheim&model=nova-3", "wss://h/?api_key=***&model=nova-3"),
        ("wss://h/?key=a&KEY=b&access_token=c&x=1", "wss://h/?key=***&KEY=***&access_token=***&x=1"),
        ("wss://h/?api%5Fkey=geheim", "wss://h/?api%5Fkey=***"),
        ("wss://h/?keyterm=Acme&keywords=x&monkey=y", "wss://h/?keyterm=Acme&keywords=x&monkey=y"),
        ("wss://h/#access_token=geheim", "wss://h/#access_token=***"),
        ("wss://h/?keyterm=a@b", "wss://h/?keyterm=a@b"),
        ("no url at all", "no url at all"),
    ],
)
def test_what_is_shown_of_a_url(url: str, shown: str) -> None:
    assert hide_secrets(url) == shown


@given(
    st.text(
        st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?#@&*"), min_size=6
    )
)
def test_a_password_is_never_shown(password: str) -> None:
    assert password not in hide_secrets(f"wss://me:{password}@h/?token={password}")


@pytest.mark.parametrize("host", ["localhost", "LocalHost", "127.0.0.1", "127.255.255.254", "::1", "0:0:0:0:0:0:0:1"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "localhost.", "128.0.0.1", "10.0.0.1", "::2", "127.1", "127.0.0.1.nip.io", "::1%lo"])
def test_beyond_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_a_parameter_is_filed_under_its_own_name() -> None:
    assert all(name == parameter.name for name, parameter in KNOWN.items())
