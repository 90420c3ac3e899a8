"""Signatures of S3 requests, with credentials that are looked up anew once they are refused."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import botocore.exceptions
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest

from millpond.errors import MillpondError, PermissionDenied

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botocore.credentials import Credentials

RENEW_S = 5.0


class Signer:
    """Signs with what ``find`` found. Thread-safe.

    Credentials that refresh themselves (roles, SSO) do so when they sign. Others, such as a session
    token in a file, are found again after the store has refused them, at most every RENEW_S.
    """

    def __init__(
        self,
        find: Callable[[], Credentials | None],
        region: str,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._find = find
        self._region = region
        self._clock = clock
        self._lock = threading.Lock()
        self._looked_s = clock()
        self.credentials = find()

    def headers(
        self,
        credentials: Credentials | None,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | memoryview | None,
    ) -> dict[str, str]:
        """The headers to send; without credentials those given."""
        if credentials is None:
            return dict(headers)
        request = AWSRequest(method, url, headers=headers, data=body or b"")
        try:
            S3SigV4Auth(credentials, "s3", self._region).add_auth(request)
        except botocore.exceptions.BotoCoreError as e:
            raise PermissionDenied(
                "the credentials could not be refreshed", cause=type(e).__name__
            ) from None
        return {k: str(v) for k, v in request.headers.items()}

    def renewed(self, refused: Credentials | None) -> bool:
        """Whether there are now other credentials than those that the store refused."""
        with self._lock:
            if self.credentials is refused and self._clock() - self._looked_s >= RENEW_S:
                self._looked_s = self._clock()
                self._look(refused)
            return self.credentials is not refused

    def _look(self, refused: Credentials | None) -> None:
        try:
            found = self._find()
        except MillpondError:
            return  # as good as none: the refusal says what is wrong
        if refused is None or found is None:
            return
        try:
            same = found.get_frozen_credentials() == refused.get_frozen_credentials()
        except botocore.exceptions.BotoCoreError:
            return
        if not same:
            self.credentials = found
