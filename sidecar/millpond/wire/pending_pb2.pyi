from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PersistHow(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    AGAIN: _ClassVar[PersistHow]
    OVERWRITE: _ClassVar[PersistHow]
    DISCARD: _ClassVar[PersistHow]
AGAIN: PersistHow
OVERWRITE: PersistHow
DISCARD: PersistHow

class PersistsRequest(_message.Message):
    __slots__ = ("path", "limit")
    PATH_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    path: str
    limit: int
    def __init__(self, path: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class PersistsReply(_message.Message):
    __slots__ = ("entries", "files", "bytes", "conflicts", "kept")
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    CONFLICTS_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    entries: _containers.RepeatedCompositeFieldContainer[PersistInfo]
    files: int
    bytes: int
    conflicts: int
    kept: int
    def __init__(self, entries: _Optional[_Iterable[_Union[PersistInfo, _Mapping]]] = ..., files: _Optional[int] = ..., bytes: _Optional[int] = ..., conflicts: _Optional[int] = ..., kept: _Optional[int] = ...) -> None: ...

class PersistInfo(_message.Message):
    __slots__ = ("seq", "path", "removal", "length", "state", "batch", "detail", "committed_ms", "expires_ms")
    SEQ_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    REMOVAL_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    COMMITTED_MS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_MS_FIELD_NUMBER: _ClassVar[int]
    seq: int
    path: str
    removal: bool
    length: int
    state: str
    batch: str
    detail: str
    committed_ms: int
    expires_ms: int
    def __init__(self, seq: _Optional[int] = ..., path: _Optional[str] = ..., removal: _Optional[bool] = ..., length: _Optional[int] = ..., state: _Optional[str] = ..., batch: _Optional[str] = ..., detail: _Optional[str] = ..., committed_ms: _Optional[int] = ..., expires_ms: _Optional[int] = ...) -> None: ...

class PersistWaitRequest(_message.Message):
    __slots__ = ("path", "timeout_s")
    PATH_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_S_FIELD_NUMBER: _ClassVar[int]
    path: str
    timeout_s: float
    def __init__(self, path: _Optional[str] = ..., timeout_s: _Optional[float] = ...) -> None: ...

class PersistRetryRequest(_message.Message):
    __slots__ = ("path", "how")
    PATH_FIELD_NUMBER: _ClassVar[int]
    HOW_FIELD_NUMBER: _ClassVar[int]
    path: str
    how: PersistHow
    def __init__(self, path: _Optional[str] = ..., how: _Optional[_Union[PersistHow, str]] = ...) -> None: ...

class BatchesRequest(_message.Message):
    __slots__ = ("ended",)
    ENDED_FIELD_NUMBER: _ClassVar[int]
    ended: bool
    def __init__(self, ended: _Optional[bool] = ...) -> None: ...

class BatchesReply(_message.Message):
    __slots__ = ("batches",)
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    batches: _containers.RepeatedCompositeFieldContainer[BatchInfo]
    def __init__(self, batches: _Optional[_Iterable[_Union[BatchInfo, _Mapping]]] = ...) -> None: ...

class BatchInfo(_message.Message):
    __slots__ = ("batch", "name", "state", "write_type", "mount", "created_ms", "files", "bytes", "detail")
    BATCH_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    WRITE_TYPE_FIELD_NUMBER: _ClassVar[int]
    MOUNT_FIELD_NUMBER: _ClassVar[int]
    CREATED_MS_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    batch: str
    name: str
    state: str
    write_type: str
    mount: str
    created_ms: int
    files: int
    bytes: int
    detail: str
    def __init__(self, batch: _Optional[str] = ..., name: _Optional[str] = ..., state: _Optional[str] = ..., write_type: _Optional[str] = ..., mount: _Optional[str] = ..., created_ms: _Optional[int] = ..., files: _Optional[int] = ..., bytes: _Optional[int] = ..., detail: _Optional[str] = ...) -> None: ...

class BatchShowRequest(_message.Message):
    __slots__ = ("batch", "limit")
    BATCH_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    batch: str
    limit: int
    def __init__(self, batch: _Optional[str] = ..., limit: _Optional[int] = ...) -> None: ...

class BatchDropRequest(_message.Message):
    __slots__ = ("batch",)
    BATCH_FIELD_NUMBER: _ClassVar[int]
    batch: str
    def __init__(self, batch: _Optional[str] = ...) -> None: ...

class BatchShowReply(_message.Message):
    __slots__ = ("batch", "entries")
    BATCH_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    batch: BatchInfo
    entries: _containers.RepeatedCompositeFieldContainer[PersistInfo]
    def __init__(self, batch: _Optional[_Union[BatchInfo, _Mapping]] = ..., entries: _Optional[_Iterable[_Union[PersistInfo, _Mapping]]] = ...) -> None: ...
