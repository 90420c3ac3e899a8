"""The reply that is put together by hand is what protobuf would have written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from millpond.errors import BY_CODE, NoSpace
from millpond.server import replies
from millpond.server.core.frames import FrameParser
from millpond.wire import millpond_pb2 as wire


@given(st.integers(1, 2**64 - 1), st.text(max_size=9000))
def test_stat_by_hand_equals_protobuf(request: int, path: str) -> None:
    info = wire.FileInfo(path=path, length=5, version="v", file_id=bytes(16))
    expected = replies.encode(wire.Reply(id=request, stat=info))
    assert replies.stat(request, info.SerializeToString()) == expected


def test_any_exception_is_an_error_of_the_tree() -> None:
    for problem, name in [
        (NoSpace("p", cause="c", remedy="r"), "NoSpace"),
        (KeyError(1), "Internal"),
    ]:
        (message,) = FrameParser().feed(replies.error(4, problem))
        reply = wire.Reply.FromString(message)
        assert (reply.id, BY_CODE[reply.error.code].__name__) == (4, name)
