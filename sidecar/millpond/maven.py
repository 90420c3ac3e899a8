"""What is fetched by Maven: a folder of jars that a POM names, or one large artifact.

All of it lies outside the checkout, appears complete by one rename, and is fetched once.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from millpond.errors import NotSupported, StoreAnswerInvalid, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_EVALUATE = "org.apache.maven.plugins:maven-help-plugin:3.5.1:evaluate"
_FETCH_S = 1800.0
_SILENCE_S = 60.0
_ATTEMPTS = 20
_CHUNK_BYTES = 1 << 20


def downloads_dir() -> Path:
    """Where downloads are kept: MILLPOND_TEST_CACHE, else ``millpond-test`` in the user's cache."""
    if named := os.environ.get("MILLPOND_TEST_CACHE"):
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "millpond-test"


def folder_of(pom: Path, name: str) -> Path:
    """Where ``jars_folder`` puts them; the path changes with the POM."""
    return downloads_dir() / f"{name}-{hashlib.sha256(pom.read_bytes()).hexdigest()[:12]}"


def jars_folder(pom: Path, name: str) -> Path:
    """The folder with the jars that ``pom`` names, fetched when it is not there yet.

    Raises NotSupported without Maven, StoreUnavailable when
    Maven can't fetch them.
    """
    target = folder_of(pom, name)
    if target.is_dir():
        return target
    with staging(target) as made:
        _maven(f"the jars of {name}", pom, _COPY, "-DincludeScope=runtime",
               f"-DoutputDirectory={made}")  # fmt: skip
    return target


@contextmanager
def staging(target: Path) -> Iterator[Path]:
    """A folder beside ``target`` that becomes it, if no other process was faster."""
    target.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=target.parent))
    try:
        yield made
        try:
            made.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(made, ignore_errors=True)


def repository_url() -> str:
    """Maven's repository for releases, or the mirror of it that Maven's settings name."""
    said = _maven(
        "the repository's address", None, _EVALUATE, "-DforceStdout",
        "-Dexpression=project.remoteArtifactRepositories[0].url",
    )  # fmt: skip
    # Colours are switched off and on around it, whatever the terminal.
    found = re.search(r"https?://[^\s\x1b]+", said)
    if found is None:
        raise StoreUnavailable("Maven names no repository", cause=repr(said[:200]))
    return found[0].rstrip("/")


def download(artifact: str, target: Path, repository: str | None = None) -> Path:
    """One file of the repository, ``group/path/name/version/file``, proved by its SHA-1.

    Goes on where an earlier try ended (``<target>.part``). One process at a time. ``repository``:
    default, as Maven finds it. Raises StoreUnavailable, StoreAnswerInvalid.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    with part.open("ab") as out:
        fcntl.flock(out, fcntl.LOCK_EX)
        if target.exists():
            part.unlink(missing_ok=True)
            return target
        url = f"{repository or repository_url()}/{artifact}"
        try:
            with urlopen(f"{url}.sha1", timeout=_SILENCE_S) as answer:
                expected = answer.read().decode().split()[0]
        except OSError as e:
            if isinstance(e, HTTPError):
                e.close()
            raise StoreUnavailable(f"{target.name} could not be fetched", cause=str(e)) from None
        _fetch(url, part)
        with part.open("rb") as made:
            found = hashlib.file_digest(made, "sha1").hexdigest()
        if found != expected:
            part.unlink()
            raise StoreAnswerInvalid(
                f"{target.name} came damaged", cause=f"SHA-1 {found}, published: {expected}"
            )
        part.rename(target)
    return target


def _fetch(url: str, part: Path) -> None:
    error: Exception | None = None
    for _ in range(_ATTEMPTS):
        at = part.stat().st_size
        try:
            with (
                urlopen(
                    Request(url, headers={"Range": f"bytes={at}-"}), timeout=_SILENCE_S
                ) as said,
                part.open("r+b") as out,
            ):
                out.seek(at if said.status == 206 else 0)
                out.truncate()
                wanted = out.tell() + int(said.headers["Content-Length"])
                shutil.copyfileobj(said, out, _CHUNK_BYTES)
            if part.stat().st_size == wanted:
                return
        except HTTPError as e:
            e.close()
            if e.code == 416:  # nothing is behind what we have
                return
            error = e
        except (OSError, HTTPException) as e:
            error = e
    raise StoreUnavailable(f"{url.rpartition('/')[2]} could not be fetched", cause=str(error))


def _maven(what: str, pom: Path | None, *goal: str) -> str:
    program = shutil.which("mvn")
    if program is None:
        raise NotSupported(
            f"{what}: Maven is needed", cause="no mvn on the PATH",
            remedy="Install it (Debian: apt-get install maven).",
        )  # fmt: skip
    # Maven looks for a project's .mvn from its working directory: none is meant.
    with tempfile.TemporaryDirectory() as nowhere:
        done = subprocess.run(
            [program, "-B", "-ntp", "-q", *(["-f", str(pom)] if pom else []), *goal],
            cwd=nowhere, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=_FETCH_S, check=False,
        )  # fmt: skip
    if done.returncode != 0:
        lines = [line for line in done.stdout.splitlines() if "ERROR" in line]
        raise StoreUnavailable(
            f"{what} could not be fetched",
            cause=lines[0] if lines else f"mvn ended with {done.returncode}",
            remedy="Check that Maven can reach its repository, then run this again.",
        )
    return done.stdout
