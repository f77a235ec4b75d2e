"""Frames are found where they are, however the bytes of a socket come in pieces."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from gateway.framing import Framing

DATA = st.builds(
    Frame,
    opcode=st.sampled_from([Opcode.BINARY, Opcode.BINARY, Opcode.TEXT, Opcode.CONT]),
    data=st.one_of(st.binary(max_size=130), st.integers(0, 70_000).map(bytes)),
    fin=st.booleans(),
)
CONTROL = st.builds(
    Frame, opcode=st.sampled_from([Opcode.PING, Opcode.PONG]), data=st.binary(max_size=125)
)
FRAMES = st.one_of(DATA, DATA, CONTROL)


def expected(frames: Sequence[Frame]) -> list[bytes]:
    """Payloads of binary messages in one frame that are not amid another message."""
    found, amid = [], False
    for frame in frames:
        if frame.opcode is Opcode.BINARY and frame.fin and not amid:
            found.append(bytes(frame.data))
        elif frame.opcode in (Opcode.BINARY, Opcode.TEXT, Opcode.CONT):
            amid = not frame.fin
    return found


class Fed:
    """What is told of bytes that come in pieces, and what is passed on."""

    def __init__(self) -> None:
        self.framing, self.held = Framing(), b""
        self.found: list[bytes] = []
        self.passed_on = 0

    def feed(self, data: bytes) -> None:
        data = self.held + data
        at = 0
        while at < len(data):
            end, message = self.framing.next(data, at)
            if end == at:
                break
            if message is None:
                self.passed_on += end - at
            else:
                self.found.append(message)
            at = end
        self.held = data[at:]


@given(st.lists(FRAMES, max_size=8))
def test_all_whole_messages_are_found_in_one_piece_and_nothing_else(frames: list[Frame]) -> None:
    fed = Fed()
    wire = [frame.serialize(mask=True) for frame in frames]
    fed.feed(b"".join(wire))

    assert fed.found == expected(frames)
    overhead = sum(len(each) for each in wire) - sum(map(len, fed.found))
    assert fed.passed_on + len(fed.held) <= overhead
    assert fed.held == b""


@given(st.lists(FRAMES, max_size=6), st.data())
def test_what_is_found_in_pieces_is_found_in_order_and_the_rest_passed_on(
    frames: list[Frame], data: st.DataObject
) -> None:
    """A message in two pieces is passed on: it is the library's to put them together."""
    wire, fed = b"".join(frame.serialize(mask=True) for frame in frames), Fed()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=10)))
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        fed.feed(wire[start:end])

    left = iter(expected(frames))
    assert all(each in left for each in fed.found), "a part of them, in order"
    assert fed.held == b""


@given(st.lists(FRAMES, max_size=6))
def test_byte_by_byte_all_is_passed_on(frames: list[Frame]) -> None:
    frames = [frame for frame in frames if frame.data]  # an empty one is whole with its header
    fed = Fed()
    for byte in b"".join(frame.serialize(mask=True) for frame in frames):
        fed.feed(bytes([byte]))

    assert fed.found == []
    assert fed.passed_on == sum(len(frame.serialize(mask=True)) for frame in frames)


@pytest.mark.parametrize("first", [0xC2, 0xA2, 0x92, 0x83, 0x02, 0x81])
def test_frames_of_any_other_kind_are_not_touched(first: int) -> None:
    frame = bytearray(Frame(Opcode.BINARY, b"audio").serialize(mask=True))
    frame[0] = first

    assert Framing().next(bytes(frame), 0) == (len(frame), None)


def test_unmasked_frames_are_not_touched() -> None:
    frame = Frame(Opcode.BINARY, b"audio").serialize(mask=False)

    assert Framing().next(frame, 0) == (len(frame), None)
