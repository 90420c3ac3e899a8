"""Stores' drivers beside what else reads the store: hdfs-native and Hadoop's client, s3 and s3fs.

Each reader reads one whole file, in a process of its own, round by round in turns; no cache and no
sidecar is in between. Servers are on the same machine, without a model of distance: what is
compared is the processor time of a byte.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import venv
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from hdfs_native import WriteOptions

from millpond.testing.hdfs_cluster import HdfsCluster
from millpond.testing.proc import CpuMeter, machine
from millpond.testing.service import reap, workplace
from tests.bench import report
from tests.bench.data import make
from tests.bench.jvm import BUILD, ROOT, Agent, classpath, find_java
from tests.bench.measures import Measure
from tests.bench.rounds import Series
from tests.bench.site import BUCKET, Store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.bench.data import Files

_MIB = 1 << 20
_QUIT_S = 20.0
HDFS = Measure("hdfs_sequential", "sequential", "MiB/s", "one file, start to end", size=_MIB)
S3 = Measure("s3_sequential", "sequential", "MiB/s", "one object, start to end", size=_MIB)
JVM, NATIVE = "jvm_client", "hdfs_native"
OURS, OBSTORE, S3FS = "s3_driver", "obstore", "s3fs_driver"


class Reader(Protocol):
    """What reads the file once a sample."""

    def sample(self) -> dict[str, Any]: ...


class PythonReader:
    """``stores_reader`` in a process. A context manager."""

    def __init__(self, kind: str, uri: str, options: Mapping[str, str], python: str) -> None:
        self._process = subprocess.Popen(
            [python, "-m", "tests.bench.stores_reader", kind,
             json.dumps({"uri": uri, "options": dict(options)})],
            cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT / "sidecar")},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def sample(self) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("a reader ended: its error stands above")
        told: dict[str, Any] = json.loads(line)
        return told

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        reap(self._process, _QUIT_S)


class JvmReader:
    """Hadoop's own client, in the measuring JVM."""

    def __init__(self, agent: Agent, uri: str, files: Files) -> None:
        self._agent = agent
        self._fields = {"fs": JVM, "threads": 1, **HDFS.fields(uri, files)}
        self._fields |= HDFS.work(files.big_bytes // HDFS.size, 0)
        agent.ask("fs", {"name": JVM, "uri": uri})

    def sample(self) -> dict[str, Any]:
        return self._agent.ask("run", self._fields)


def s3fs_python(folder: Path) -> str:
    """A Python that has s3fs; its environment is made once."""
    python = folder / "bin" / "python"
    if not (folder / "made").exists():
        venv.create(folder, clear=True, symlinks=True)
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "pip", "install", "-q", "--python", python, "s3fs"], check=True)
        (folder / "made").touch()
    return str(python)


def hdfs_rows(files: Files, work: Path, rounds: int) -> list[report.Row]:
    """hdfs-native, as the sidecar reads by it, to the JVM's client."""
    with ExitStack() as stack:
        cluster = stack.enter_context(HdfsCluster(work / "hdfs"))
        # One block: the library asks for a second before the NameNode has heard of the first.
        whole = WriteOptions(block_size=files.big_bytes)
        with (
            cluster.client().create(f"/{files.big}", whole) as writer,
            (files.root / files.big).open("rb") as file,
        ):
            while piece := file.read(8 * _MIB):
                writer.write(piece)
        java = find_java()
        agent = stack.enter_context(
            Agent(java, classpath(java.hadoop, s3a=False), work / "stores-agent.log")
        )
        native = PythonReader("driver", f"{cluster.uri}/{files.big}", {}, sys.executable)
        readers: dict[str, Reader] = {
            JVM: JvmReader(agent, cluster.uri, files),
            NATIVE: stack.enter_context(native),
        }
        return measured(HDFS, readers, {"store": cluster.pid}, files.big_bytes, rounds)


def s3_rows(files: Files, work: Path, rounds: int) -> list[report.Row]:
    """Millpond's driver and s3fs behind it, to obstore alone."""
    with ExitStack() as stack:
        store = stack.enter_context(Store(work / "store", files.root))
        uri = f"s3://{BUCKET}/{store.prefix}/{files.big}"
        options = store.gateway.mount_options()
        here, elsewhere = sys.executable, s3fs_python(BUILD / "s3fs-env")
        readers: dict[str, Reader] = {
            OURS: stack.enter_context(PythonReader("driver", uri, options, here)),
            OBSTORE: stack.enter_context(PythonReader("library", uri, options, here)),
            S3FS: stack.enter_context(
                PythonReader("driver", uri, options | {"driver": "s3fs"}, elsewhere)
            ),
        }
        return measured(S3, readers, {"store": store.gateway.pid}, files.big_bytes, rounds)


def measured(
    measure: Measure,
    readers: Mapping[str, Reader],
    pids: Mapping[str, int],
    size: int,
    rounds: int,
) -> list[report.Row]:
    """The rows, each to the first reader; one round more is read and does not count."""
    series = [Series(measure, name, 1) for name in readers]
    meter = CpuMeter(pids)
    for i in range(rounds + 1):
        turn = i % len(series)
        for one in series[turn:] + series[:turn]:
            meter.start()
            sample = readers[one.target].sample()
            sample["other_cpu_s"] = meter.stop()
            if sample["bytes"] != size:
                raise RuntimeError(f"{one.target} read {sample['bytes']} bytes of {size}")
            one.samples.append(sample)
    for one in series:
        del one.samples[0]  # connections, code, the page cache of the server
    return [report.row(one, None if one is series[0] else series[0]) for one in series]


_SHOWN = (
    ("measure", "measure"), ("target", "target"), ("value", "median"), ("unit", "unit"),
    ("ratio", "ratio"), ("ratio_low", "low"), ("ratio_high", "high"), ("ratio_to", "to"),
    ("cpu_s_per_gib", "reader CPU s/GiB"), ("store_cpu_s_per_gib", "store CPU s/GiB"),
    ("rounds", "rounds"),
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make bench BENCH=stores", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="one round on little data: does it run at all")
    add("--stores", default="hdfs,s3", help="default: %(default)s")
    add("--rounds", type=int, help="at least 7 for 95 %%; default: 11")
    add("--size-mib", type=int, help="default: 512")
    add("--work", type=Path, default=BUILD / "work", help="data and servers; default: %(default)s")
    add("--out", type=Path, default=BUILD / "stores.json")
    args = parser.parse_args(sys.argv[1:] if argv is None else argv)
    about = machine(BUILD) | {"python": sys.version.split()[0], "quick": args.quick}
    about |= {"interval": "order statistics of the median of paired ratios, 95 %"}
    rounds = args.rounds or (1 if args.quick else 11)
    found: list[report.Row] = []
    with workplace(args.work) as work:
        files = make(work, (args.size_mib or (8 if args.quick else 512)) * _MIB)
        for name in args.stores.split(","):
            found += {"hdfs": hdfs_rows, "s3": s3_rows}[name](files, work, rounds)
    report.save(args.out, about, found, "reading a store", _SHOWN)
    return 0


if __name__ == "__main__":
    sys.exit(main())
