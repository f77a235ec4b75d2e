"""The native codec: what frames mean, and that no frame whatever breaks it."""

import json
import struct
import tracemalloc
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import GatewayError, InvalidAudio, InvalidMessage, InvalidOption
from gateway.wire.messages import AudioFrame, ClientMessage, Configure, Finalize, Ping, Stop
from gateway.wire.native import Format, NativeCodec, choose_format

JSON = NativeCodec("json")
MSGPACK = NativeCodec("msgpack")

both_formats = pytest.mark.parametrize("format", ["json", "msgpack"])


def decoded(format: Format, message: object) -> ClientMessage:
    """What the codec makes of a value that a client wrote in this format."""
    if format == "json":
        return JSON.decode_text(json.dumps(message))
    return MSGPACK.decode_binary(msgpack.packb(message))


def refused(format: Format, message: object) -> GatewayError:
    with pytest.raises(GatewayError) as refusal:
        decoded(format, message)
    assert refusal.value.recoverable
    return refusal.value


def refused_text(text: str) -> GatewayError:
    with pytest.raises(InvalidMessage) as refusal:
        JSON.decode_text(text)
    return refusal.value


def refused_binary(data: bytes) -> GatewayError:
    with pytest.raises(InvalidMessage) as refusal:
        MSGPACK.decode_binary(data)
    return refusal.value


# Client messages, in both formats


@both_formats
@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"type": "configure"}, Configure({}, None)),
        (
            {"type": "configure", "id": "c", "language": "de", "chunk_ms": 500},
            Configure({"language": "de", "chunk_ms": 500}, "c"),
        ),
        ({"type": "finalize"}, Finalize(None)),
        ({"type": "finalize", "id": None}, Finalize(None)),
        ({"type": "finalize", "id": "f"}, Finalize("f")),
        ({"type": "finalize", "id": ""}, Finalize("")),
        ({"type": "ping", "id": -12}, Ping("-12")),
        ({"id": "ü" * 128, "type": "ping"}, Ping("ü" * 128)),
        ({"type": "stop"}, Stop()),
    ],
)
def test_control_messages(format: Format, message: object, expected: ClientMessage) -> None:
    assert decoded(format, message) == expected


@both_formats
@pytest.mark.parametrize(
    ("message", "words", "id"),
    [
        ([], "must be a map, got a list", None),
        (None, "must be a map, got null", None),
        ("ping", 'must be a map, got "ping"', None),
        ({}, "needs a type", None),
        ({"id": 5}, "needs a type", "5"),
        ({"type": "Ping", "id": "a"}, '"Ping" is not a type of message; known are audio', "a"),
        ({"type": 7, "id": "a"}, "7 is not a type", "a"),
        ({"type": ["ping"]}, "a list is not a type", None),
        ({"type": "ping"}, "ping needs an id", None),
        ({"type": "ping", "id": None}, "ping needs an id", None),
        ({"type": "ping", "id": True}, "id must be text or an integer", None),
        ({"type": "ping", "id": 1.5}, "id must be text or an integer", None),
        ({"type": "ping", "id": "x" * 129}, "at most 128 characters", None),
        ({"type": "ping", "id": "a", "at": 1}, 'ping has no field "at"', "a"),
        ({"type": "finalize", "id": "a", "now": True}, 'finalize has no field "now"', "a"),
        ({"type": "stop", "id": "a"}, 'stop has no field "id"', "a"),
    ],
)
def test_a_refusal_names_what_is_wrong_and_the_clients_id(
    format: Format, message: object, words: str, id: str | None
) -> None:
    error = refused(format, message)

    assert isinstance(error, InvalidMessage)
    assert words in error.message
    assert error.id == id


@both_formats
@pytest.mark.parametrize("fields", [{}, {"pcm": None}, {"pcm": "AAAA"}, {"pcm": [0, 0]}])
def test_audio_that_is_not_binary_is_refused_as_audio(
    format: Format, fields: dict[str, Any]
) -> None:
    assert isinstance(refused(format, {"type": "audio", **fields}), InvalidAudio)


@both_formats
def test_a_control_message_may_be_as_long_as_the_limit_and_no_longer(format: Format) -> None:
    message = {"type": "configure", "context": "x" * 40, "id": "c"}
    frame: Any = json.dumps(message) if format == "json" else msgpack.packb(message)

    def decode(max_control_bytes: int) -> ClientMessage:
        codec = NativeCodec(format, max_control_bytes)
        return codec.decode_text(frame) if format == "json" else codec.decode_binary(frame)

    assert isinstance(decode(len(frame)), Configure)
    with pytest.raises(InvalidMessage, match=f"at most {len(frame) - 1} bytes"):
        decode(len(frame) - 1)


# JSON


def test_in_json_mode_a_binary_frame_is_audio_whatever_it_holds() -> None:
    assert JSON.decode_binary(b"{}") == AudioFrame(b"{}")
    assert JSON.decode_binary(b"") == AudioFrame(b"")


def test_the_limit_counts_bytes_not_characters() -> None:
    with pytest.raises(InvalidMessage, match="at most 40 bytes"):
        NativeCodec("json", 40).decode_text('{"type":"ping","id":"' + "é" * 10 + '"}')


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "one JSON object"),
        ("{", "one JSON object"),
        ('{"type":"stop"} x', "one JSON object"),
        ("[" * 60_000, "nested too deeply"),
        ('{"a":' * 10_000 + "1" + "}" * 10_000, "nested too deeply"),
        ('{"type":"configure","vad_threshold":NaN}', "NaN is not JSON"),
        ('{"type":"configure","vad_threshold":-Infinity}', "-Infinity is not JSON"),
        ('{"type":"configure","chunk_ms":' + "9" * 5000 + "}", "one JSON object"),
        ('{"type":"ping","id":"a","id":"b"}', '"id" is given twice'),
        ('{"type":"configure","context":{"a":1,"a":1}}', '"a" is given twice'),
        ('{"type":"ping","id":"\\ud800"}', "id must be text"),
        ('{"type":"\\ud800"}', "a text of 1 characters is not a type"),
        ('"\ud800', "one JSON object"),
    ],
)
def test_text_that_is_no_message(text: str, words: str) -> None:
    assert words in refused_text(text).message


def test_numbers_beyond_a_float_reach_the_options_which_refuse_them() -> None:
    message = JSON.decode_text('{"type":"configure","vad_threshold":1e400}')

    assert Configure({"vad_threshold": float("inf")}, None) == message


# msgpack


def test_in_msgpack_mode_audio_is_a_map_or_a_bare_bin() -> None:
    assert decoded("msgpack", {"type": "audio", "pcm": b"\0\1"}) == AudioFrame(b"\0\1")
    assert decoded("msgpack", b"\0\1") == AudioFrame(b"\0\1")


def test_audio_may_be_longer_than_a_control_message() -> None:
    codec = NativeCodec("msgpack", max_control_bytes=64)
    pcm = bytes(100_000)

    assert codec.decode_binary(msgpack.packb({"type": "audio", "pcm": pcm})) == AudioFrame(pcm)
    assert codec.decode_binary(msgpack.packb(pcm)) == AudioFrame(pcm)


def test_binary_options_do_not_get_around_the_limit() -> None:
    codec = NativeCodec("msgpack", max_control_bytes=64)
    message = msgpack.packb({"type": "configure", "context": bytes(100), "id": 1})

    with pytest.raises(InvalidMessage, match="at most 64 bytes") as refusal:
        codec.decode_binary(message)

    assert refusal.value.id == "1"


def test_in_msgpack_mode_a_text_frame_is_refused() -> None:
    with pytest.raises(InvalidMessage, match="speaks msgpack"):
        MSGPACK.decode_text('{"type":"stop"}')


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "one whole msgpack map"),
        (b"\xc1", "one whole msgpack map"),
        (msgpack.packb({"type": "stop"})[:-1], "one whole msgpack map"),
        (msgpack.packb({"type": "stop"}) + b"\0", "one whole msgpack map"),
        (b"\xa2\xff\xfe", "one whole msgpack map"),
        (b"\x91" * 60_000, "one whole msgpack map"),
        (b"\xdc\xff\xff" * 20_000, "one whole msgpack map"),
        (msgpack.packb({1: 2}), "one whole msgpack map"),
        (msgpack.packb({b"type": "stop"}), "Keys must be text"),
        (b"\x81\x80\x01", "one whole msgpack map"),
        (b"\x82\xa1a\x01\xa1a\x02", '"a" is given twice'),
        (msgpack.packb(msgpack.ExtType(5, b"x")), "must be a map"),
        (msgpack.packb(msgpack.Timestamp(1, 2)), "must be a map"),
        (b"\xd6\xff" + b"\xff" * 4, "must be a map"),
        (b"\xd7\xff" + b"\xff" * 8, "one whole msgpack map"),
        (msgpack.packb({"type": "ping", "id": msgpack.Timestamp(1, 2)}), "id must be text"),
        (msgpack.packb({"type": msgpack.ExtType(5, b"x")}), "is not a type"),
        (msgpack.packb({str(n): n for n in range(65)}), "at most 64 entries"),
    ],
)
def test_binary_that_is_no_message(data: bytes, words: str) -> None:
    assert words in refused_binary(data).message


def test_announced_lengths_take_no_memory() -> None:
    tracemalloc.start()
    try:
        # Arrays of 57,344: fewer items than the frame has bytes, msgpack's own limit.
        refused_binary(b"\xdc\xe0\x00" * 20_000)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak_bytes < 2_000_000


# Server messages

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc"), inner, max_size=4),
    max_leaves=8,
)


@both_formats
@given(message=st.dictionaries(st.text("abcde"), values))
def test_what_is_encoded_is_read_back_by_the_formats_own_parser(
    format: Format, message: dict[str, Any]
) -> None:
    frame = NativeCodec(format).pack(message)

    read = json.loads(frame) if isinstance(frame, str) else msgpack.unpackb(frame)

    assert isinstance(frame, str) == (format == "json")
    assert message == read


def test_json_is_compact_and_keeps_every_script_readable() -> None:
    assert JSON.pack({"text": "日本 é", "seq": 1}) == '{"text":"日本 é","seq":1}'


@both_formats
def test_a_lone_surrogate_does_not_break_the_socket(format: Format) -> None:
    frame = NativeCodec(format).pack({"text": "a\ud83db"})

    read = msgpack.unpackb(frame) if isinstance(frame, bytes) else json.loads(frame.encode())
    assert read == {"text": "a?b"}


def test_nan_is_never_sent_as_json() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        JSON.pack({"confidence": float("nan")})


# Any input


ids = st.text(st.characters(exclude_categories=["Cs"]), max_size=128)
option_maps = st.dictionaries(
    st.text("abcdef", min_size=1).filter(lambda name: name not in ("id", "type")), values
)


@both_formats
@given(
    message=st.one_of(
        st.builds(lambda id: {"type": "ping", "id": id}, ids),
        st.builds(lambda id: {"type": "finalize", "id": id}, ids),
        st.builds(lambda id, more: {**more, "type": "configure", "id": id}, ids, option_maps),
    )
)
def test_every_well_formed_message_is_understood_with_its_id(
    format: Format, message: dict[str, Any]
) -> None:
    result = decoded(format, message)

    assert isinstance(result, Ping | Finalize | Configure)
    assert result.id == message["id"]
    if isinstance(result, Configure):
        assert {**result.options, "type": "configure", "id": result.id} == message


@given(st.binary())
def test_audio_of_any_bytes_comes_out_as_it_went_in(pcm: bytes) -> None:
    assert decoded("msgpack", {"type": "audio", "pcm": pcm}) == AudioFrame(pcm)
    assert decoded("msgpack", pcm) == AudioFrame(pcm)
    assert JSON.decode_binary(pcm) == AudioFrame(pcm)


def only_our_errors(codec: NativeCodec, frame: str | bytes) -> None:
    decode: Any = codec.decode_text if isinstance(frame, str) else codec.decode_binary
    error = None
    try:
        decode(frame)
    except GatewayError as refusal:
        error = refusal

    if error:
        assert error.recoverable
        error.message.encode()  # fit for a socket
        (error.id or "").encode()


@given(st.binary())
@example(struct.pack(">BI", 0xDF, 2**32 - 1))
def test_arbitrary_bytes_raise_only_our_errors(data: bytes) -> None:
    only_our_errors(MSGPACK, data)


@given(st.text(st.characters()) | st.text('{}[]":,\\utypeid0123456789eE+-. NaInf'))
@example("\ud800")
def test_arbitrary_text_raises_only_our_errors(text: str) -> None:
    only_our_errors(JSON, text)
    only_our_errors(MSGPACK, text)


@given(
    values
    | st.dictionaries(st.sampled_from(["type", "id", "pcm"]), values)
    | st.builds(
        lambda kind, more: {"type": kind, **more},
        st.sampled_from(["audio", "configure", "finalize", "ping", "stop"]),
        st.dictionaries(st.sampled_from(["id", "pcm", "x"]), values),
    )
)
def test_arbitrary_values_raise_only_our_errors(value: object) -> None:
    only_our_errors(JSON, json.dumps(value))
    only_our_errors(MSGPACK, msgpack.packb(value))


# The choice of a format


@pytest.mark.parametrize(
    ("query", "offered", "expected"),
    [
        (None, [], ("json", None)),
        ("json", [], ("json", None)),
        ("msgpack", [], ("msgpack", None)),
        (None, ["scribewire.json.v1"], ("json", "scribewire.json.v1")),
        (None, ["scribewire.msgpack.v1"], ("msgpack", "scribewire.msgpack.v1")),
        (
            None,
            ["scribewire.msgpack.v1", "scribewire.json.v1"],
            ("msgpack", "scribewire.msgpack.v1"),
        ),
        (
            "json",
            ["scribewire.msgpack.v1", "scribewire.json.v1"],
            ("json", "scribewire.json.v1"),
        ),
        (None, ["unknown"], ("json", None)),
        (None, ["scribewire.auth", "TOKEN"], ("json", "scribewire.auth")),
        ("msgpack", ["scribewire.auth", "TOKEN"], ("msgpack", "scribewire.auth")),
        (
            None,
            ["scribewire.auth", "TOKEN", "scribewire.msgpack.v1"],
            ("msgpack", "scribewire.msgpack.v1"),
        ),
    ],
)
def test_the_query_decides_else_the_first_known_subprotocol_else_json(
    query: str | None, offered: list[str], expected: tuple[str, str | None]
) -> None:
    assert choose_format(query, offered) == expected


@pytest.mark.parametrize("query", ["", "JSON", "cbor", "\0", "x" * 1000])
def test_an_unknown_format_is_refused(query: str) -> None:
    with pytest.raises(InvalidOption, match=r"^format must be one of json, msgpack, got"):
        choose_format(query, [])


def test_a_format_that_contradicts_the_subprotocol_is_refused() -> None:
    with pytest.raises(InvalidOption, match=r"contradicts the subprotocol scribewire\.msgpack"):
        choose_format("json", ["scribewire.msgpack.v1"])
