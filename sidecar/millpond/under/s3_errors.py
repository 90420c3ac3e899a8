"""What an S3 answer that is no success means, as one of Millpond's errors. Pure."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from millpond.errors import (
    FileChanged,
    InvalidPath,
    InvalidSetting,
    MillpondError,
    NotSupported,
    PathNotFound,
    PermissionDenied,
    StoreAnswerInvalid,
    StoreUnavailable,
)
from millpond.under.base import one_line

EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"})
_BUSY = frozenset(
    {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "Throttling",
     "ThrottlingException", "TooManyRequests", "RequestLimitExceeded", "OperationAborted",
     "ConditionalRequestConflict"}
)  # fmt: skip
_NO_NAME = frozenset(
    {"KeyTooLongError", "InvalidURI", "InvalidBucketName", "InvalidObjectName",
     "XMinioInvalidObjectName", "XMinioInvalidResourceName", "XMinioInvalidObjectNamePrefixSlash"}
)  # fmt: skip
_REFUSED = frozenset(
    {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "AuthorizationHeaderMalformed",
     "InvalidToken", "AllAccessDisabled", "AccountProblem", *EXPIRED}
)  # fmt: skip


def error_code(body: bytes) -> tuple[str, str]:
    """(code, region named) of an S3 error document; empty where it says nothing of the kind."""
    try:
        root = ET.fromstring(body)
    except ET.ParseError:
        return "", ""
    return root.findtext("{*}Code") or "", root.findtext("{*}Region") or ""


def shown(bucket: str, key: str) -> str:
    """An object's name on one line, whatever characters the key has."""
    return one_line(f"s3://{bucket}/{key}")


def refusal(
    status: int, code: str, region: str, *, bucket: str, key: str, makes: bool = False
) -> MillpondError:
    """The error for an HTTP status and S3 code. Names bucket and key, never a header.

    ``makes``: the request needs no object to be there. A gateway on a file system that says there
    is none has met a directory that just went; it is no word about what others wrote.
    """
    what = shown(bucket, key)
    said = f"HTTP {status} {code}".rstrip()
    if status in (301, 307, 308) or (region and code == "AuthorizationHeaderMalformed"):
        return InvalidSetting(
            f"bucket {bucket} is in another region" + (f", {region}" if region else ""),
            cause=said,
            remedy="Set the mount's option region",
        )
    if status == 501:
        return NotSupported(f"the store can't do what was asked for {what}", cause=said)
    if status in (408, 429) or status >= 500 or code in _BUSY or (makes and code == "NoSuchKey"):
        return StoreUnavailable(f"the store did not serve {what}", cause=said)
    if code == "NoSuchBucket":
        return PathNotFound(f"bucket {bucket} does not exist", cause=said)
    if status == 404:
        return PathNotFound(f"{what} does not exist", cause=said)
    if code == "RequestTimeTooSkewed":
        return PermissionDenied(
            f"the store refused {what}", cause=said, remedy="Set this machine's clock"
        )
    if code in EXPIRED:
        return PermissionDenied(
            f"the store refused {what}",
            cause=f"{said}: the credentials have expired",
            remedy="Renew them where the mount takes them from: a file that an option names and a "
            "profile are read again, options of the mount itself are set by mounting anew",
        )
    if status in (401, 403) or code in _REFUSED:
        return PermissionDenied(
            f"the store refused {what}",
            cause=said,
            remedy="Check the mount's credentials and their policy",
        )
    if code in _NO_NAME:
        return InvalidPath(
            f"the store has no place for {what}", cause=said, remedy="Name it without what this "
            "store refuses: an empty or relative segment, too many bytes",
        )  # fmt: skip
    if status in (412, 416):
        return FileChanged(f"{what} has changed since it was opened", cause=said)
    return StoreAnswerInvalid(f"the store answered {what} with something else", cause=said)
