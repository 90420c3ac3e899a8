"""CPU time of processes and their children, and what the machine is."""

from __future__ import annotations

import mmap
import os
import platform
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_TOUCH_BYTES = 1 << 20
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and of all its descendants, ended ones that it waited for included.

    In steps of one clock tick (10 ms).
    """
    total = sum(_fields(pid)[11:15]) * _TICK_S
    return total + sum(_own_cpu_s(child) for child in _descendants(pid))


def _own_cpu_s(pid: int) -> float:
    try:
        return sum(_fields(pid)[11:15]) * _TICK_S
    except FileNotFoundError:  # it ended meanwhile: its parent's fields hold its time
        return 0.0


def _fields(pid: int) -> list[int]:
    """The fields of ``/proc/<pid>/stat`` from the third on; the state, a letter, reads as 0."""
    text = Path(f"/proc/{pid}/stat").read_text()
    return [int(f) if f.lstrip("-").isdigit() else 0 for f in text.rpartition(")")[2].split()]


def _descendants(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in task.read_text().split()]
        except FileNotFoundError:
            continue
        for child in children:
            found += [child, *_descendants(child)]
    return found


class CpuMeter:
    """CPU seconds that named processes use between ``start`` and ``stop``."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._before: dict[str, float] = {}

    def start(self) -> None:
        self._before = {name: cpu_s(pid) for name, pid in self._pids.items()}

    def stop(self) -> dict[str, float]:
        return {name: cpu_s(pid) - self._before[name] for name, pid in self._pids.items()}


def touch_memory(directory: Path, size_bytes: int) -> None:
    """Have the kernel write and drop ``size_bytes`` of page cache.

    Free memory of a virtual machine may have gone back to its host; the first write to each page
    then costs more than ten times the copy, and would be charged to whoever comes first.
    """
    with mmap.mmap(-1, _TOUCH_BYTES) as chunk, tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(0, size_bytes, _TOUCH_BYTES):
            file.write(chunk)


def machine(directory: Path) -> dict[str, object]:
    """What the figures depend on and a reader of them needs to know."""
    return {
        "cpu": _line("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "memory_gib": round(int(_line("/proc/meminfo", "MemTotal").split()[0]) / 2**20, 1),
        "kernel": platform.release(),
        "file_system": _output("stat", "-f", "-c", "%T", str(directory)),
        "commit": _output("git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"),
        "date": time.strftime("%Y-%m-%d"),
        "load_at_start": round(os.getloadavg()[0], 2),
    }


def _line(path: str, key: str) -> str:
    for line in Path(path).read_text().splitlines():
        if line.startswith(key):
            return line.partition(":")[2].strip()
    return "unknown"


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()
