"""The reply that is put together by hand is what protobuf would have written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from millpond.errors import BY_CODE, NoSpace
from millpond.server import replies
from millpond.wire import millpond_pb2 as wire
from millpond.wire.frames import FrameParser


@given(st.integers(1, 2**64 - 1), st.text(max_size=9000))
def test_stat_by_hand_equals_protobuf(request: int, path: str) -> None:
    info = wire.FileInfo(path=path, length=5, version="v", file_id=bytes(16))
    expected = replies.encode(wire.Reply(id=request, stat=info))
    assert replies.stat(request, info.SerializeToString()) == expected


@given(
    st.integers(0, 2**64 - 1), st.text(max_size=200), st.booleans(), st.binary(max_size=3)
)  # fmt: skip
def test_a_plain_stat_is_what_protobuf_reads_or_is_left_to_it(
    number: int, path: str, force: bool, tail: bytes
) -> None:
    asked = wire.Request(id=number, stat=wire.StatRequest(path=path, force=force))
    message = asked.SerializeToString()
    plain = replies.plain_stat(message)
    if plain is not None:
        assert plain == (replies.varint(number), path)
        assert not force
    elif 0 < number < 2**28 and 4 < len(path.encode()) < 126:
        assert force
    info = replies.plain_stat(message + tail)
    assert not tail or info is None
    assert replies.plain_stat(tail) is None


def test_any_exception_is_an_error_of_the_tree() -> None:
    for problem, name in [
        (NoSpace("p", cause="c", remedy="r"), "NoSpace"),
        (KeyError(1), "Internal"),
    ]:
        (message,) = FrameParser().feed(replies.error(4, problem))
        reply = wire.Reply.FromString(message)
        assert (reply.id, BY_CODE[reply.error.code].__name__) == (4, name)
