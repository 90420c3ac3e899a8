from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Intent(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    UNKNOWN: _ClassVar[Intent]
    SEQUENTIAL: _ClassVar[Intent]
    RANDOM: _ClassVar[Intent]
    WHOLE_FILE: _ClassVar[Intent]
    VECTORED: _ClassVar[Intent]
    WARM_UP: _ClassVar[Intent]

class FillResult(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRESENT: _ClassVar[FillResult]
    INLINE: _ClassVar[FillResult]
    DIRECT: _ClassVar[FillResult]

class BlockState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NEVER_READ: _ClassVar[BlockState]
    HERE: _ClassVar[BlockState]
    PARTLY_HERE: _ClassVar[BlockState]
    EVICTED: _ClassVar[BlockState]
    DROPPED: _ClassVar[BlockState]
    BAD: _ClassVar[BlockState]
    VERSION_CHANGED: _ClassVar[BlockState]
    NOT_ADMITTED: _ClassVar[BlockState]
    BYPASSED: _ClassVar[BlockState]
    NOT_CACHEABLE: _ClassVar[BlockState]
    EXPIRED: _ClassVar[BlockState]
UNKNOWN: Intent
SEQUENTIAL: Intent
RANDOM: Intent
WHOLE_FILE: Intent
VECTORED: Intent
WARM_UP: Intent
PRESENT: FillResult
INLINE: FillResult
DIRECT: FillResult
NEVER_READ: BlockState
HERE: BlockState
PARTLY_HERE: BlockState
EVICTED: BlockState
DROPPED: BlockState
BAD: BlockState
VERSION_CHANGED: BlockState
NOT_ADMITTED: BlockState
BYPASSED: BlockState
NOT_CACHEABLE: BlockState
EXPIRED: BlockState

class Request(_message.Message):
    __slots__ = ("id", "hello", "stat", "list", "fill", "locate", "report", "invalidate", "begin", "commit", "abort", "rename", "delete", "mkdirs", "set_times", "batch_begin", "batch_replace", "batch_commit", "batch_abort")
    ID_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    STAT_FIELD_NUMBER: _ClassVar[int]
    LIST_FIELD_NUMBER: _ClassVar[int]
    FILL_FIELD_NUMBER: _ClassVar[int]
    LOCATE_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    INVALIDATE_FIELD_NUMBER: _ClassVar[int]
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    ABORT_FIELD_NUMBER: _ClassVar[int]
    RENAME_FIELD_NUMBER: _ClassVar[int]
    DELETE_FIELD_NUMBER: _ClassVar[int]
    MKDIRS_FIELD_NUMBER: _ClassVar[int]
    SET_TIMES_FIELD_NUMBER: _ClassVar[int]
    BATCH_BEGIN_FIELD_NUMBER: _ClassVar[int]
    BATCH_REPLACE_FIELD_NUMBER: _ClassVar[int]
    BATCH_COMMIT_FIELD_NUMBER: _ClassVar[int]
    BATCH_ABORT_FIELD_NUMBER: _ClassVar[int]
    id: int
    hello: HelloRequest
    stat: StatRequest
    list: ListRequest
    fill: FillRequest
    locate: LocateRequest
    report: ReportRequest
    invalidate: InvalidateRequest
    begin: BeginRequest
    commit: CommitRequest
    abort: AbortRequest
    rename: RenameRequest
    delete: DeleteRequest
    mkdirs: MkdirsRequest
    set_times: SetTimesRequest
    batch_begin: BatchBeginRequest
    batch_replace: BatchReplaceRequest
    batch_commit: BatchCommitRequest
    batch_abort: BatchAbortRequest
    def __init__(self, id: _Optional[int] = ..., hello: _Optional[_Union[HelloRequest, _Mapping]] = ..., stat: _Optional[_Union[StatRequest, _Mapping]] = ..., list: _Optional[_Union[ListRequest, _Mapping]] = ..., fill: _Optional[_Union[FillRequest, _Mapping]] = ..., locate: _Optional[_Union[LocateRequest, _Mapping]] = ..., report: _Optional[_Union[ReportRequest, _Mapping]] = ..., invalidate: _Optional[_Union[InvalidateRequest, _Mapping]] = ..., begin: _Optional[_Union[BeginRequest, _Mapping]] = ..., commit: _Optional[_Union[CommitRequest, _Mapping]] = ..., abort: _Optional[_Union[AbortRequest, _Mapping]] = ..., rename: _Optional[_Union[RenameRequest, _Mapping]] = ..., delete: _Optional[_Union[DeleteRequest, _Mapping]] = ..., mkdirs: _Optional[_Union[MkdirsRequest, _Mapping]] = ..., set_times: _Optional[_Union[SetTimesRequest, _Mapping]] = ..., batch_begin: _Optional[_Union[BatchBeginRequest, _Mapping]] = ..., batch_replace: _Optional[_Union[BatchReplaceRequest, _Mapping]] = ..., batch_commit: _Optional[_Union[BatchCommitRequest, _Mapping]] = ..., batch_abort: _Optional[_Union[BatchAbortRequest, _Mapping]] = ...) -> None: ...

class Reply(_message.Message):
    __slots__ = ("id", "more", "error", "hello", "stat", "list", "progress", "fill", "locate", "report", "invalidate", "begin", "commit", "rename", "done", "batch_begin")
    ID_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    HELLO_FIELD_NUMBER: _ClassVar[int]
    STAT_FIELD_NUMBER: _ClassVar[int]
    LIST_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    FILL_FIELD_NUMBER: _ClassVar[int]
    LOCATE_FIELD_NUMBER: _ClassVar[int]
    REPORT_FIELD_NUMBER: _ClassVar[int]
    INVALIDATE_FIELD_NUMBER: _ClassVar[int]
    BEGIN_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FIELD_NUMBER: _ClassVar[int]
    RENAME_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    BATCH_BEGIN_FIELD_NUMBER: _ClassVar[int]
    id: int
    more: bool
    error: Error
    hello: HelloReply
    stat: FileInfo
    list: ListReply
    progress: Progress
    fill: FillReply
    locate: LocateReply
    report: ReportReply
    invalidate: InvalidateReply
    begin: BeginReply
    commit: CommitReply
    rename: RenameReply
    done: DoneReply
    batch_begin: BatchBeginReply
    def __init__(self, id: _Optional[int] = ..., more: _Optional[bool] = ..., error: _Optional[_Union[Error, _Mapping]] = ..., hello: _Optional[_Union[HelloReply, _Mapping]] = ..., stat: _Optional[_Union[FileInfo, _Mapping]] = ..., list: _Optional[_Union[ListReply, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., fill: _Optional[_Union[FillReply, _Mapping]] = ..., locate: _Optional[_Union[LocateReply, _Mapping]] = ..., report: _Optional[_Union[ReportReply, _Mapping]] = ..., invalidate: _Optional[_Union[InvalidateReply, _Mapping]] = ..., begin: _Optional[_Union[BeginReply, _Mapping]] = ..., commit: _Optional[_Union[CommitReply, _Mapping]] = ..., rename: _Optional[_Union[RenameReply, _Mapping]] = ..., done: _Optional[_Union[DoneReply, _Mapping]] = ..., batch_begin: _Optional[_Union[BatchBeginReply, _Mapping]] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ("code", "problem", "cause", "remedy", "retriable")
    CODE_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    REMEDY_FIELD_NUMBER: _ClassVar[int]
    RETRIABLE_FIELD_NUMBER: _ClassVar[int]
    code: int
    problem: str
    cause: str
    remedy: str
    retriable: bool
    def __init__(self, code: _Optional[int] = ..., problem: _Optional[str] = ..., cause: _Optional[str] = ..., remedy: _Optional[str] = ..., retriable: _Optional[bool] = ...) -> None: ...

class HelloRequest(_message.Message):
    __slots__ = ("protocol_min", "protocol_max", "client", "token", "monotonic_ns", "boot_id", "secret")
    PROTOCOL_MIN_FIELD_NUMBER: _ClassVar[int]
    PROTOCOL_MAX_FIELD_NUMBER: _ClassVar[int]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    MONOTONIC_NS_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    protocol_min: int
    protocol_max: int
    client: str
    token: bytes
    monotonic_ns: int
    boot_id: bytes
    secret: bytes
    def __init__(self, protocol_min: _Optional[int] = ..., protocol_max: _Optional[int] = ..., client: _Optional[str] = ..., token: _Optional[bytes] = ..., monotonic_ns: _Optional[int] = ..., boot_id: _Optional[bytes] = ..., secret: _Optional[bytes] = ...) -> None: ...

class HelloReply(_message.Message):
    __slots__ = ("protocol", "version", "node_id", "aliases", "monotonic_ns", "boot_id", "cache_dir")
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    NODE_ID_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    MONOTONIC_NS_FIELD_NUMBER: _ClassVar[int]
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    CACHE_DIR_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    version: str
    node_id: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    monotonic_ns: int
    boot_id: bytes
    cache_dir: str
    def __init__(self, protocol: _Optional[int] = ..., version: _Optional[str] = ..., node_id: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., monotonic_ns: _Optional[int] = ..., boot_id: _Optional[bytes] = ..., cache_dir: _Optional[str] = ...) -> None: ...

class FileInfo(_message.Message):
    __slots__ = ("path", "directory", "length", "mtime_ms", "version", "file_id", "store_path", "store_uri", "places", "meta_on_disk")
    PATH_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    MTIME_MS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    FILE_ID_FIELD_NUMBER: _ClassVar[int]
    STORE_PATH_FIELD_NUMBER: _ClassVar[int]
    STORE_URI_FIELD_NUMBER: _ClassVar[int]
    PLACES_FIELD_NUMBER: _ClassVar[int]
    META_ON_DISK_FIELD_NUMBER: _ClassVar[int]
    path: str
    directory: bool
    length: int
    mtime_ms: int
    version: str
    file_id: bytes
    store_path: str
    store_uri: str
    places: bytes
    meta_on_disk: bool
    def __init__(self, path: _Optional[str] = ..., directory: _Optional[bool] = ..., length: _Optional[int] = ..., mtime_ms: _Optional[int] = ..., version: _Optional[str] = ..., file_id: _Optional[bytes] = ..., store_path: _Optional[str] = ..., store_uri: _Optional[str] = ..., places: _Optional[bytes] = ..., meta_on_disk: _Optional[bool] = ...) -> None: ...

class StatRequest(_message.Message):
    __slots__ = ("path", "force")
    PATH_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    path: str
    force: bool
    def __init__(self, path: _Optional[str] = ..., force: _Optional[bool] = ...) -> None: ...

class ListRequest(_message.Message):
    __slots__ = ("path", "recursive")
    PATH_FIELD_NUMBER: _ClassVar[int]
    RECURSIVE_FIELD_NUMBER: _ClassVar[int]
    path: str
    recursive: bool
    def __init__(self, path: _Optional[str] = ..., recursive: _Optional[bool] = ...) -> None: ...

class ListReply(_message.Message):
    __slots__ = ("directory", "entries")
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_FIELD_NUMBER: _ClassVar[int]
    directory: FileInfo
    entries: _containers.RepeatedCompositeFieldContainer[FileInfo]
    def __init__(self, directory: _Optional[_Union[FileInfo, _Mapping]] = ..., entries: _Optional[_Iterable[_Union[FileInfo, _Mapping]]] = ...) -> None: ...

class Range(_message.Message):
    __slots__ = ("offset", "length")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    offset: int
    length: int
    def __init__(self, offset: _Optional[int] = ..., length: _Optional[int] = ...) -> None: ...

class FillRequest(_message.Message):
    __slots__ = ("path", "file_id", "ranges", "window", "intent", "inline_max", "stream")
    PATH_FIELD_NUMBER: _ClassVar[int]
    FILE_ID_FIELD_NUMBER: _ClassVar[int]
    RANGES_FIELD_NUMBER: _ClassVar[int]
    WINDOW_FIELD_NUMBER: _ClassVar[int]
    INTENT_FIELD_NUMBER: _ClassVar[int]
    INLINE_MAX_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    path: str
    file_id: bytes
    ranges: _containers.RepeatedCompositeFieldContainer[Range]
    window: int
    intent: Intent
    inline_max: int
    stream: int
    def __init__(self, path: _Optional[str] = ..., file_id: _Optional[bytes] = ..., ranges: _Optional[_Iterable[_Union[Range, _Mapping]]] = ..., window: _Optional[int] = ..., intent: _Optional[_Union[Intent, str]] = ..., inline_max: _Optional[int] = ..., stream: _Optional[int] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("ready",)
    READY_FIELD_NUMBER: _ClassVar[int]
    ready: int
    def __init__(self, ready: _Optional[int] = ...) -> None: ...

class FillReply(_message.Message):
    __slots__ = ("result", "data", "reason", "blocks")
    RESULT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    result: FillResult
    data: bytes
    reason: str
    blocks: _containers.RepeatedCompositeFieldContainer[BlockGeneration]
    def __init__(self, result: _Optional[_Union[FillResult, str]] = ..., data: _Optional[bytes] = ..., reason: _Optional[str] = ..., blocks: _Optional[_Iterable[_Union[BlockGeneration, _Mapping]]] = ...) -> None: ...

class BlockGeneration(_message.Message):
    __slots__ = ("block", "generation")
    BLOCK_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    block: int
    generation: int
    def __init__(self, block: _Optional[int] = ..., generation: _Optional[int] = ...) -> None: ...

class LocateRequest(_message.Message):
    __slots__ = ("path", "offset", "length")
    PATH_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    path: str
    offset: int
    length: int
    def __init__(self, path: _Optional[str] = ..., offset: _Optional[int] = ..., length: _Optional[int] = ...) -> None: ...

class LocateReply(_message.Message):
    __slots__ = ("locations",)
    LOCATIONS_FIELD_NUMBER: _ClassVar[int]
    locations: _containers.RepeatedCompositeFieldContainer[Location]
    def __init__(self, locations: _Optional[_Iterable[_Union[Location, _Mapping]]] = ...) -> None: ...

class Location(_message.Message):
    __slots__ = ("offset", "length", "hosts", "cached_bytes")
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    CACHED_BYTES_FIELD_NUMBER: _ClassVar[int]
    offset: int
    length: int
    hosts: _containers.RepeatedScalarFieldContainer[str]
    cached_bytes: int
    def __init__(self, offset: _Optional[int] = ..., length: _Optional[int] = ..., hosts: _Optional[_Iterable[str]] = ..., cached_bytes: _Optional[int] = ...) -> None: ...

class ReportRequest(_message.Message):
    __slots__ = ("touches", "bad_pages", "counters")
    class CountersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    TOUCHES_FIELD_NUMBER: _ClassVar[int]
    BAD_PAGES_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    touches: _containers.RepeatedCompositeFieldContainer[Touch]
    bad_pages: _containers.RepeatedCompositeFieldContainer[BadPage]
    counters: _containers.ScalarMap[str, int]
    def __init__(self, touches: _Optional[_Iterable[_Union[Touch, _Mapping]]] = ..., bad_pages: _Optional[_Iterable[_Union[BadPage, _Mapping]]] = ..., counters: _Optional[_Mapping[str, int]] = ...) -> None: ...

class Touch(_message.Message):
    __slots__ = ("file_id", "block", "reads", "meta")
    FILE_ID_FIELD_NUMBER: _ClassVar[int]
    BLOCK_FIELD_NUMBER: _ClassVar[int]
    READS_FIELD_NUMBER: _ClassVar[int]
    META_FIELD_NUMBER: _ClassVar[int]
    file_id: bytes
    block: int
    reads: int
    meta: bytes
    def __init__(self, file_id: _Optional[bytes] = ..., block: _Optional[int] = ..., reads: _Optional[int] = ..., meta: _Optional[bytes] = ...) -> None: ...

class BadPage(_message.Message):
    __slots__ = ("file_id", "block", "page", "generation")
    FILE_ID_FIELD_NUMBER: _ClassVar[int]
    BLOCK_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    file_id: bytes
    block: int
    page: int
    generation: int
    def __init__(self, file_id: _Optional[bytes] = ..., block: _Optional[int] = ..., page: _Optional[int] = ..., generation: _Optional[int] = ...) -> None: ...

class ReportReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class InvalidateRequest(_message.Message):
    __slots__ = ("paths", "tree")
    PATHS_FIELD_NUMBER: _ClassVar[int]
    TREE_FIELD_NUMBER: _ClassVar[int]
    paths: _containers.RepeatedScalarFieldContainer[str]
    tree: bool
    def __init__(self, paths: _Optional[_Iterable[str]] = ..., tree: _Optional[bool] = ...) -> None: ...

class InvalidateReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BeginRequest(_message.Message):
    __slots__ = ("path", "overwrite", "parent", "files", "write", "write_type")
    PATH_FIELD_NUMBER: _ClassVar[int]
    OVERWRITE_FIELD_NUMBER: _ClassVar[int]
    PARENT_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    WRITE_FIELD_NUMBER: _ClassVar[int]
    WRITE_TYPE_FIELD_NUMBER: _ClassVar[int]
    path: str
    overwrite: bool
    parent: bool
    files: int
    write: int
    write_type: str
    def __init__(self, path: _Optional[str] = ..., overwrite: _Optional[bool] = ..., parent: _Optional[bool] = ..., files: _Optional[int] = ..., write: _Optional[int] = ..., write_type: _Optional[str] = ...) -> None: ...

class BeginReply(_message.Message):
    __slots__ = ("write", "file_id", "files")
    WRITE_FIELD_NUMBER: _ClassVar[int]
    FILE_ID_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    write: int
    file_id: bytes
    files: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, write: _Optional[int] = ..., file_id: _Optional[bytes] = ..., files: _Optional[_Iterable[str]] = ...) -> None: ...

class CommitRequest(_message.Message):
    __slots__ = ("write", "length", "files")
    WRITE_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    write: int
    length: int
    files: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, write: _Optional[int] = ..., length: _Optional[int] = ..., files: _Optional[_Iterable[str]] = ...) -> None: ...

class CommitReply(_message.Message):
    __slots__ = ("info",)
    INFO_FIELD_NUMBER: _ClassVar[int]
    info: FileInfo
    def __init__(self, info: _Optional[_Union[FileInfo, _Mapping]] = ...) -> None: ...

class AbortRequest(_message.Message):
    __slots__ = ("write",)
    WRITE_FIELD_NUMBER: _ClassVar[int]
    write: int
    def __init__(self, write: _Optional[int] = ...) -> None: ...

class RenameRequest(_message.Message):
    __slots__ = ("source", "target", "into", "again")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    INTO_FIELD_NUMBER: _ClassVar[int]
    AGAIN_FIELD_NUMBER: _ClassVar[int]
    source: str
    target: str
    into: bool
    again: bool
    def __init__(self, source: _Optional[str] = ..., target: _Optional[str] = ..., into: _Optional[bool] = ..., again: _Optional[bool] = ...) -> None: ...

class RenameReply(_message.Message):
    __slots__ = ("path",)
    PATH_FIELD_NUMBER: _ClassVar[int]
    path: str
    def __init__(self, path: _Optional[str] = ...) -> None: ...

class DeleteRequest(_message.Message):
    __slots__ = ("path", "recursive")
    PATH_FIELD_NUMBER: _ClassVar[int]
    RECURSIVE_FIELD_NUMBER: _ClassVar[int]
    path: str
    recursive: bool
    def __init__(self, path: _Optional[str] = ..., recursive: _Optional[bool] = ...) -> None: ...

class MkdirsRequest(_message.Message):
    __slots__ = ("path",)
    PATH_FIELD_NUMBER: _ClassVar[int]
    path: str
    def __init__(self, path: _Optional[str] = ...) -> None: ...

class SetTimesRequest(_message.Message):
    __slots__ = ("path", "mtime_ms", "atime_ms")
    PATH_FIELD_NUMBER: _ClassVar[int]
    MTIME_MS_FIELD_NUMBER: _ClassVar[int]
    ATIME_MS_FIELD_NUMBER: _ClassVar[int]
    path: str
    mtime_ms: int
    atime_ms: int
    def __init__(self, path: _Optional[str] = ..., mtime_ms: _Optional[int] = ..., atime_ms: _Optional[int] = ...) -> None: ...

class DoneReply(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class BatchBeginRequest(_message.Message):
    __slots__ = ("path", "write_type", "name")
    PATH_FIELD_NUMBER: _ClassVar[int]
    WRITE_TYPE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    path: str
    write_type: str
    name: str
    def __init__(self, path: _Optional[str] = ..., write_type: _Optional[str] = ..., name: _Optional[str] = ...) -> None: ...

class BatchBeginReply(_message.Message):
    __slots__ = ("batch", "staging")
    BATCH_FIELD_NUMBER: _ClassVar[int]
    STAGING_FIELD_NUMBER: _ClassVar[int]
    batch: str
    staging: str
    def __init__(self, batch: _Optional[str] = ..., staging: _Optional[str] = ...) -> None: ...

class BatchReplaceRequest(_message.Message):
    __slots__ = ("batch", "paths", "recursive")
    BATCH_FIELD_NUMBER: _ClassVar[int]
    PATHS_FIELD_NUMBER: _ClassVar[int]
    RECURSIVE_FIELD_NUMBER: _ClassVar[int]
    batch: str
    paths: _containers.RepeatedScalarFieldContainer[str]
    recursive: bool
    def __init__(self, batch: _Optional[str] = ..., paths: _Optional[_Iterable[str]] = ..., recursive: _Optional[bool] = ...) -> None: ...

class BatchCommitRequest(_message.Message):
    __slots__ = ("batch", "attempts", "dynamic", "all")
    BATCH_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    DYNAMIC_FIELD_NUMBER: _ClassVar[int]
    ALL_FIELD_NUMBER: _ClassVar[int]
    batch: str
    attempts: _containers.RepeatedScalarFieldContainer[str]
    dynamic: bool
    all: bool
    def __init__(self, batch: _Optional[str] = ..., attempts: _Optional[_Iterable[str]] = ..., dynamic: _Optional[bool] = ..., all: _Optional[bool] = ...) -> None: ...

class BatchAbortRequest(_message.Message):
    __slots__ = ("batch",)
    BATCH_FIELD_NUMBER: _ClassVar[int]
    batch: str
    def __init__(self, batch: _Optional[str] = ...) -> None: ...

class MountTable(_message.Message):
    __slots__ = ("mounts",)
    MOUNTS_FIELD_NUMBER: _ClassVar[int]
    mounts: _containers.RepeatedCompositeFieldContainer[Mount]
    def __init__(self, mounts: _Optional[_Iterable[_Union[Mount, _Mapping]]] = ...) -> None: ...

class Mount(_message.Message):
    __slots__ = ("path", "store_uri", "store_id", "root", "prefix", "read_only", "freshness_ms", "list_freshness_ms", "immutable", "direct_conf", "control", "pending", "held", "commit_files", "unconditional", "kept")
    class DirectConfEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PATH_FIELD_NUMBER: _ClassVar[int]
    STORE_URI_FIELD_NUMBER: _ClassVar[int]
    STORE_ID_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    PREFIX_FIELD_NUMBER: _ClassVar[int]
    READ_ONLY_FIELD_NUMBER: _ClassVar[int]
    FRESHNESS_MS_FIELD_NUMBER: _ClassVar[int]
    LIST_FRESHNESS_MS_FIELD_NUMBER: _ClassVar[int]
    IMMUTABLE_FIELD_NUMBER: _ClassVar[int]
    DIRECT_CONF_FIELD_NUMBER: _ClassVar[int]
    CONTROL_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    COMMIT_FILES_FIELD_NUMBER: _ClassVar[int]
    UNCONDITIONAL_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    path: str
    store_uri: str
    store_id: str
    root: str
    prefix: str
    read_only: bool
    freshness_ms: int
    list_freshness_ms: int
    immutable: _containers.RepeatedScalarFieldContainer[str]
    direct_conf: _containers.ScalarMap[str, str]
    control: CacheControl
    pending: bool
    held: _containers.RepeatedScalarFieldContainer[str]
    commit_files: _containers.RepeatedScalarFieldContainer[str]
    unconditional: bool
    kept: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, path: _Optional[str] = ..., store_uri: _Optional[str] = ..., store_id: _Optional[str] = ..., root: _Optional[str] = ..., prefix: _Optional[str] = ..., read_only: _Optional[bool] = ..., freshness_ms: _Optional[int] = ..., list_freshness_ms: _Optional[int] = ..., immutable: _Optional[_Iterable[str]] = ..., direct_conf: _Optional[_Mapping[str, str]] = ..., control: _Optional[_Union[CacheControl, _Mapping]] = ..., pending: _Optional[bool] = ..., held: _Optional[_Iterable[str]] = ..., commit_files: _Optional[_Iterable[str]] = ..., unconditional: _Optional[bool] = ..., kept: _Optional[_Iterable[str]] = ...) -> None: ...

class CacheControl(_message.Message):
    __slots__ = ("admission", "ttl_s", "quota_bytes", "reserve_bytes", "write", "writers", "cache_ttl_ms")
    ADMISSION_FIELD_NUMBER: _ClassVar[int]
    TTL_S_FIELD_NUMBER: _ClassVar[int]
    QUOTA_BYTES_FIELD_NUMBER: _ClassVar[int]
    RESERVE_BYTES_FIELD_NUMBER: _ClassVar[int]
    WRITE_FIELD_NUMBER: _ClassVar[int]
    WRITERS_FIELD_NUMBER: _ClassVar[int]
    CACHE_TTL_MS_FIELD_NUMBER: _ClassVar[int]
    admission: _containers.RepeatedScalarFieldContainer[str]
    ttl_s: int
    quota_bytes: int
    reserve_bytes: int
    write: _containers.RepeatedScalarFieldContainer[str]
    writers: _containers.RepeatedScalarFieldContainer[str]
    cache_ttl_ms: int
    def __init__(self, admission: _Optional[_Iterable[str]] = ..., ttl_s: _Optional[int] = ..., quota_bytes: _Optional[int] = ..., reserve_bytes: _Optional[int] = ..., write: _Optional[_Iterable[str]] = ..., writers: _Optional[_Iterable[str]] = ..., cache_ttl_ms: _Optional[int] = ...) -> None: ...

class MountAddRequest(_message.Message):
    __slots__ = ("path", "store_uri", "options", "unchecked")
    class OptionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PATH_FIELD_NUMBER: _ClassVar[int]
    STORE_URI_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    UNCHECKED_FIELD_NUMBER: _ClassVar[int]
    path: str
    store_uri: str
    options: _containers.ScalarMap[str, str]
    unchecked: bool
    def __init__(self, path: _Optional[str] = ..., store_uri: _Optional[str] = ..., options: _Optional[_Mapping[str, str]] = ..., unchecked: _Optional[bool] = ...) -> None: ...

class MountRemoveRequest(_message.Message):
    __slots__ = ("path",)
    PATH_FIELD_NUMBER: _ClassVar[int]
    path: str
    def __init__(self, path: _Optional[str] = ...) -> None: ...

class MountsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class EvictRequest(_message.Message):
    __slots__ = ("path",)
    PATH_FIELD_NUMBER: _ClassVar[int]
    path: str
    def __init__(self, path: _Optional[str] = ...) -> None: ...

class EvictReply(_message.Message):
    __slots__ = ("files", "bytes")
    FILES_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    files: int
    bytes: int
    def __init__(self, files: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...

class PinRequest(_message.Message):
    __slots__ = ("path", "recursive")
    PATH_FIELD_NUMBER: _ClassVar[int]
    RECURSIVE_FIELD_NUMBER: _ClassVar[int]
    path: str
    recursive: bool
    def __init__(self, path: _Optional[str] = ..., recursive: _Optional[bool] = ...) -> None: ...

class UnpinRequest(_message.Message):
    __slots__ = ("path",)
    PATH_FIELD_NUMBER: _ClassVar[int]
    path: str
    def __init__(self, path: _Optional[str] = ...) -> None: ...

class PinsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PinsReply(_message.Message):
    __slots__ = ("pins", "pinned_bytes", "at_most_bytes")
    PINS_FIELD_NUMBER: _ClassVar[int]
    PINNED_BYTES_FIELD_NUMBER: _ClassVar[int]
    AT_MOST_BYTES_FIELD_NUMBER: _ClassVar[int]
    pins: _containers.RepeatedCompositeFieldContainer[PinInfo]
    pinned_bytes: int
    at_most_bytes: int
    def __init__(self, pins: _Optional[_Iterable[_Union[PinInfo, _Mapping]]] = ..., pinned_bytes: _Optional[int] = ..., at_most_bytes: _Optional[int] = ...) -> None: ...

class PinInfo(_message.Message):
    __slots__ = ("path", "recursive", "files", "length")
    PATH_FIELD_NUMBER: _ClassVar[int]
    RECURSIVE_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    LENGTH_FIELD_NUMBER: _ClassVar[int]
    path: str
    recursive: bool
    files: int
    length: int
    def __init__(self, path: _Optional[str] = ..., recursive: _Optional[bool] = ..., files: _Optional[int] = ..., length: _Optional[int] = ...) -> None: ...

class RefreshRequest(_message.Message):
    __slots__ = ("path", "recursive")
    PATH_FIELD_NUMBER: _ClassVar[int]
    RECURSIVE_FIELD_NUMBER: _ClassVar[int]
    path: str
    recursive: bool
    def __init__(self, path: _Optional[str] = ..., recursive: _Optional[bool] = ...) -> None: ...

class RefreshReply(_message.Message):
    __slots__ = ("files",)
    FILES_FIELD_NUMBER: _ClassVar[int]
    files: int
    def __init__(self, files: _Optional[int] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("path",)
    PATH_FIELD_NUMBER: _ClassVar[int]
    path: str
    def __init__(self, path: _Optional[str] = ...) -> None: ...

class BlockRun(_message.Message):
    __slots__ = ("first", "count", "state", "pages", "at_ms", "detail")
    FIRST_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PAGES_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    first: int
    count: int
    state: BlockState
    pages: int
    at_ms: int
    detail: str
    def __init__(self, first: _Optional[int] = ..., count: _Optional[int] = ..., state: _Optional[_Union[BlockState, str]] = ..., pages: _Optional[int] = ..., at_ms: _Optional[int] = ..., detail: _Optional[str] = ...) -> None: ...

class ExplainReply(_message.Message):
    __slots__ = ("info", "mount", "runs", "history_since_ms", "history_events", "history_bound")
    INFO_FIELD_NUMBER: _ClassVar[int]
    MOUNT_FIELD_NUMBER: _ClassVar[int]
    RUNS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_SINCE_MS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_EVENTS_FIELD_NUMBER: _ClassVar[int]
    HISTORY_BOUND_FIELD_NUMBER: _ClassVar[int]
    info: FileInfo
    mount: str
    runs: _containers.RepeatedCompositeFieldContainer[BlockRun]
    history_since_ms: int
    history_events: int
    history_bound: int
    def __init__(self, info: _Optional[_Union[FileInfo, _Mapping]] = ..., mount: _Optional[str] = ..., runs: _Optional[_Iterable[_Union[BlockRun, _Mapping]]] = ..., history_since_ms: _Optional[int] = ..., history_events: _Optional[int] = ..., history_bound: _Optional[int] = ...) -> None: ...

class SettingsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SettingsReply(_message.Message):
    __slots__ = ("settings",)
    SETTINGS_FIELD_NUMBER: _ClassVar[int]
    settings: _containers.RepeatedCompositeFieldContainer[Setting]
    def __init__(self, settings: _Optional[_Iterable[_Union[Setting, _Mapping]]] = ...) -> None: ...

class Setting(_message.Message):
    __slots__ = ("name", "value", "origin", "running", "previous", "config_file", "start_origin")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    RUNNING_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FILE_FIELD_NUMBER: _ClassVar[int]
    START_ORIGIN_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    origin: str
    running: bool
    previous: str
    config_file: str
    start_origin: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ..., origin: _Optional[str] = ..., running: _Optional[bool] = ..., previous: _Optional[str] = ..., config_file: _Optional[str] = ..., start_origin: _Optional[str] = ...) -> None: ...

class ChangeSettingRequest(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class StacksRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StacksReply(_message.Message):
    __slots__ = ("pid", "loop_age_s", "text")
    PID_FIELD_NUMBER: _ClassVar[int]
    LOOP_AGE_S_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    pid: int
    loop_age_s: float
    text: str
    def __init__(self, pid: _Optional[int] = ..., loop_age_s: _Optional[float] = ..., text: _Optional[str] = ...) -> None: ...

class StatsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatsReply(_message.Message):
    __slots__ = ("capacity_bytes", "used_bytes", "free_disk_bytes", "blocks", "metas", "policy", "uptime_s", "version", "counters", "mounts", "disks", "part_bytes")
    class CountersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class DisksEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class PartBytesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    CAPACITY_BYTES_FIELD_NUMBER: _ClassVar[int]
    USED_BYTES_FIELD_NUMBER: _ClassVar[int]
    FREE_DISK_BYTES_FIELD_NUMBER: _ClassVar[int]
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    METAS_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    UPTIME_S_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    MOUNTS_FIELD_NUMBER: _ClassVar[int]
    DISKS_FIELD_NUMBER: _ClassVar[int]
    PART_BYTES_FIELD_NUMBER: _ClassVar[int]
    capacity_bytes: int
    used_bytes: int
    free_disk_bytes: int
    blocks: int
    metas: int
    policy: str
    uptime_s: float
    version: str
    counters: _containers.ScalarMap[str, int]
    mounts: _containers.RepeatedCompositeFieldContainer[MountStats]
    disks: _containers.ScalarMap[str, str]
    part_bytes: _containers.ScalarMap[str, int]
    def __init__(self, capacity_bytes: _Optional[int] = ..., used_bytes: _Optional[int] = ..., free_disk_bytes: _Optional[int] = ..., blocks: _Optional[int] = ..., metas: _Optional[int] = ..., policy: _Optional[str] = ..., uptime_s: _Optional[float] = ..., version: _Optional[str] = ..., counters: _Optional[_Mapping[str, int]] = ..., mounts: _Optional[_Iterable[_Union[MountStats, _Mapping]]] = ..., disks: _Optional[_Mapping[str, str]] = ..., part_bytes: _Optional[_Mapping[str, int]] = ...) -> None: ...

class MountStats(_message.Message):
    __slots__ = ("path", "head", "list", "get", "retries", "bytes_read")
    PATH_FIELD_NUMBER: _ClassVar[int]
    HEAD_FIELD_NUMBER: _ClassVar[int]
    LIST_FIELD_NUMBER: _ClassVar[int]
    GET_FIELD_NUMBER: _ClassVar[int]
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    BYTES_READ_FIELD_NUMBER: _ClassVar[int]
    path: str
    head: int
    list: int
    get: int
    retries: int
    bytes_read: int
    def __init__(self, path: _Optional[str] = ..., head: _Optional[int] = ..., list: _Optional[int] = ..., get: _Optional[int] = ..., retries: _Optional[int] = ..., bytes_read: _Optional[int] = ...) -> None: ...
