"""What the errors of ``hdfs-native`` mean.

The library raises OSErrors without a number, and for what the NameNode refused a RuntimeError with
the Java class, the message and the Java stack in its text.
"""

from __future__ import annotations

import re

from millpond.errors import (
    AlreadyExists,
    DirectoryNotEmpty,
    InvalidSetting,
    IsADirectory,
    MillpondError,
    NotADirectory,
    NotSupported,
    PathNotFound,
    PermissionDenied,
    StoreAnswerInvalid,
    StoreUnavailable,
)

_RPC = re.compile(r'RPC\w*\("([\w.$]+)", "(.*)', re.DOTALL)
_CAUSE_CHARS = 300
_TYPED: dict[str, type[MillpondError]] = {
    "FileAlreadyExistsException": AlreadyExists,
    "ParentNotDirectoryException": NotADirectory,
    "PathIsNotDirectoryException": NotADirectory,
    "PathIsNotEmptyDirectoryException": DirectoryNotEmpty,
}
_SAID = {
    "FileAlreadyExistsException": "it exists",
    "ParentNotDirectoryException": "a file is above it",
    "PathIsNotDirectoryException": "it is a file",
    "PathIsNotEmptyDirectoryException": "it is not empty",
}


def meaning(name: str, error: BaseException) -> MillpondError | None:
    """The error to raise instead; None for what is ours already or ends the thread."""
    if isinstance(error, MillpondError):
        return None
    cause = _first_line(str(error)) or type(error).__name__
    if type(error).__name__ == "PanicException":
        return StoreAnswerInvalid(f"{name} could not be read", cause=f"hdfs-native: {cause}")
    if isinstance(error, FileNotFoundError):
        if "is not a file" in cause:
            return IsADirectory(f"{name} is a directory")
        return PathNotFound(f"{name} does not exist")
    if isinstance(error, FileExistsError):
        return AlreadyExists(f"{name} exists", cause=cause)
    if isinstance(error, IsADirectoryError):
        return IsADirectory(f"{name} is a directory")
    if isinstance(error, NotImplementedError):
        return NotSupported(f"{name} can't be read by hdfs-native", cause=cause)
    if isinstance(error, RuntimeError | ValueError):
        return _refused(name, str(error), cause)
    if isinstance(error, Exception):
        return StoreUnavailable(f"{name} could not be read", cause=cause)
    return None


def _refused(name: str, text: str, cause: str) -> MillpondError:
    rpc = _RPC.match(text)
    java = rpc[1].rpartition(".")[2] if rpc else ""
    said = _first_line(rpc[2]) if rpc else cause
    if java == "AccessControlException" and "is not a directory" in said:
        return PathNotFound(f"{name} does not exist", cause=said)
    if java in ("AccessControlException", "AuthorizationException", "InvalidToken"):
        return PermissionDenied(f"{name} can't be read", cause=said)
    if java in _TYPED:
        return _TYPED[java](f"{name}: {_SAID[java]}", cause=said)
    if java in ("InvalidPathException", "FileNotFoundException"):
        return PathNotFound(f"{name} does not exist", cause=said)
    if not rpc and "encryption zone" in text:
        return NotSupported(
            f"{name} lies in an encryption zone",
            cause="the cache would hold it as plain text",
            remedy="Read it without the cache; or mount with -o plaintext=allow, where the "
            "sidecar's user may have its key (hadoop.security.key.provider.path)",
        )
    if not rpc and text.startswith(("SASL", "GSSAPI", "Kerberos")):
        return PermissionDenied(f"{name} can't be read", cause=cause)
    if not rpc and text.startswith(("InvalidArgument", "UrlParse", "XmlParse")):
        return InvalidSetting(
            f"{name} can't be opened",
            cause=cause.partition('("')[2] or cause,
            remedy="Write host:port, or tell where its NameNodes are: HADOOP_CONF_DIR, conf_dir, "
            "or dfs.ha.namenodes.<name service> and dfs.namenode.rpc-address.<name service>.<id>",
        )
    return StoreUnavailable(f"{name} could not be read or written", cause=f"{java} {said}".strip())


def _first_line(text: str) -> str:
    """Without the Java stack, whose line ends come plain or escaped."""
    line = re.split(r"\n|\\n", text, maxsplit=1)[0]
    return line.replace('\\"', '"').removesuffix('")').strip()[:_CAUSE_CHARS]
