"""Frames come out as they went in, however the stream is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from millpond.errors import FrameTooLarge
from millpond.wire.frames import MAX_FRAME_BYTES, FrameParser, frame


@given(st.lists(st.binary(max_size=300), max_size=12), st.lists(st.integers(1, 64), max_size=99))
def test_any_cut_of_the_stream_gives_the_same_messages(
    messages: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(map(frame, messages))
    parser, got, at = FrameParser(), [], 0
    for size in [*cuts, len(stream)]:
        got += parser.feed(stream[at : at + size])
        at += size
    assert got == messages


def test_a_length_above_the_cap_is_refused_before_its_bytes_come() -> None:
    parser = FrameParser()
    with pytest.raises(FrameTooLarge, match="8388609"):
        parser.feed((MAX_FRAME_BYTES + 1).to_bytes(4, "little"))


def test_a_frame_of_exactly_the_cap_passes() -> None:
    assert FrameParser(16).feed(frame(bytes(16))) == [bytes(16)]
    with pytest.raises(FrameTooLarge):
        FrameParser(16).feed(frame(bytes(17)))
