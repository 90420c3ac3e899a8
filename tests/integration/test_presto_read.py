"""Real Presto over ``cache://``: sums, the cost of a warm query, a killed sidecar, Spark."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("pyspark", reason="Spark is not installed: millpond[spark]")
pytest.importorskip("prestodb", reason="Presto's client is not installed: presto-python-client")

from millpond_spark.demo.site import BUCKET
from millpond_spark.demo.spark import session
from tests.fixtures.presto import WAREHOUSE, PrestoNode
from tests.fixtures.presto_sales import COLUMNS, FILES, ROWS, SUMS, Sales, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession

# The first run on a machine fetches Presto (2 GB) and the metastore.
pytestmark = pytest.mark.timeout(3600)

TIMES, LONG_TIMES = 10, 80
SETTLED_S = 3.5
SPARK_COLUMNS = COLUMNS.replace("varchar", "string")


@pytest.fixture(scope="module")
def sales(tmp_path_factory: pytest.TempPathFactory) -> Sales:
    return Sales.made(tmp_path_factory.mktemp("sales"))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrestoNode]:
    with PrestoNode(tmp_path_factory.mktemp("node"), "lake", "iceberg") as node:
        yield node


@pytest.fixture
def table(node: PrestoNode, sales: Sales, request: pytest.FixtureRequest) -> str:
    """The name of a table over a copy of the files that only this test reads."""
    name = re.sub(r"\W", "_", str(request.node.name)).strip("_")
    node.site.upload(sales.folder, [name])
    node.create(name, COLUMNS, node.site.cached(name))
    return name


@pytest.fixture
def revived(node: PrestoNode) -> Iterator[None]:
    """Ends the test with a sidecar that runs, whatever the test did to it."""
    yield
    node.site.sidecar.kill()
    node.site.sidecar.start()


@pytest.fixture
def spark(node: PrestoNode, tmp_path: Path) -> Iterator[SparkSession]:
    with session(node.site, tmp_path / "spark.log") as spark:
        yield spark


def test_doctor_finds_nothing_wrong(node: PrestoNode) -> None:
    said = node.site.sidecar.run("doctor", "--presto", str(node.presto.home))
    assert "catalog hive" in said
    assert "PROBLEM" not in said


def test_sums_are_right_and_warm_ones_cost_no_call(
    node: PrestoNode, table: str, sales: Sales
) -> None:
    before = node.site.requests()
    assert sums(node, table) == sales.sums
    assert node.site.requests().since(before).get > 0

    requests, calls = node.site.requests(), node.calls()
    assert sums(node, table) == sales.sums
    warm = node.site.requests().since(requests)
    assert (warm.get, warm.head) == (0, 0)
    after = node.calls()
    asked = {verb: count - calls.get(verb, 0) for verb, count in after.items()}
    assert (asked["fill"], asked["stat"]) == (0, 0), asked
    assert asked["list"] <= 2, asked


@pytest.mark.usefixtures("revived")
@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
def test_a_sidecar_killed_between_splits_costs_nothing(
    node: PrestoNode, table: str, sales: Sales, warm: bool
) -> None:
    if warm:
        assert sums(node, table) == sales.sums
    # The longer a query takes, the further apart its splits end.
    for times in (TIMES << attempt for attempt in range(6)):
        found, between = sums_with_a_kill(node, table, times, tag=str(warm))
        assert found == [times * total for total in sales.sums]
        if between:
            return
        node.site.sidecar.start()
    pytest.fail("no kill came between the first and the last split")


@pytest.mark.usefixtures("revived")
def test_without_a_sidecar_presto_reads_the_store(
    node: PrestoNode, table: str, sales: Sales
) -> None:
    node.site.sidecar.kill()
    before = node.site.requests()
    assert sums(node, table) == sales.sums
    assert node.site.requests().since(before).get > 0


def test_what_spark_has_read_costs_presto_nothing(
    node: PrestoNode, table: str, sales: Sales, spark: SparkSession
) -> None:
    frame = spark.read.parquet(node.site.cached(table))
    frame.createOrReplaceTempView("sales")
    [row] = spark.sql(f"SELECT {SUMS} FROM sales").collect()
    assert list(row) == sales.sums
    before = node.site.requests()
    assert sums(node, table) == sales.sums
    asked = node.site.requests().since(before)
    assert (asked.get, asked.head) == (0, 0)


def test_what_presto_has_read_costs_spark_nothing(
    node: PrestoNode, table: str, sales: Sales, spark: SparkSession
) -> None:
    await_settled()
    assert sums(node, table) == sales.sums
    before = node.site.requests()
    spark.read.schema(SPARK_COLUMNS).parquet(node.site.cached(table)).createOrReplaceTempView("s")
    [row] = spark.sql(f"SELECT {SUMS} FROM s").collect()
    assert list(row) == sales.sums
    assert node.site.requests().since(before).get == 0


def test_store_uris_use_the_same_blocks(node: PrestoNode, table: str, sales: Sales) -> None:
    await_settled()
    assert sums(node, table) == sales.sums
    lake = f"lake.default.{table}_s3a"
    node.create(lake, COLUMNS, node.site.direct(table))
    before, calls = node.site.requests(), node.calls()
    assert sums(node, lake) == sales.sums
    assert node.site.requests().since(before).get == 0
    assert node.calls()["fill"] == calls["fill"]


def test_store_uris_fill_the_cache_and_what_they_write_is_seen(
    node: PrestoNode, sales: Sales
) -> None:
    node.site.upload(sales.folder, ["lake"])
    await_settled()
    node.create("lake.default.filled", COLUMNS, node.site.direct("lake"))
    node.create("filled_here", COLUMNS, node.site.cached("lake"))
    assert sums(node, "lake.default.filled") == sales.sums
    before = node.site.requests()
    assert sums(node, "lake.default.filled") == sales.sums
    assert sums(node, "filled_here") == sales.sums
    assert node.site.requests().since(before).get == 0

    node.presto.query("INSERT INTO lake.default.filled VALUES (1, 2, 3.00, 'x')")
    for table in ("lake.default.filled", "filled_here"):
        found = sums(node, table)
        assert [a - b for a, b in zip(found, sales.sums, strict=True)] == [1, 1, 2, Decimal(3), 1]


def test_store_uris_are_read_in_the_version_that_was_listed(
    node: PrestoNode, table: str, sales: Sales, tmp_path: Path
) -> None:
    lake = f"lake.default.{table}_s3a"
    node.create(lake, COLUMNS, node.site.direct(table))
    await_settled()
    assert sums(node, lake) == sales.sums
    for rows in (7, ROWS + 5000):  # shorter, longer: its footer is elsewhere
        write(tmp_path / "part-0.parquet", seed=99, rows=rows)
        node.site.upload(tmp_path, [table])
        assert sums(node, lake)[0] == (FILES - 1) * ROWS + rows


@pytest.mark.usefixtures("revived")
def test_store_uris_outlive_the_sidecar(node: PrestoNode, table: str, sales: Sales) -> None:
    lake = f"lake.default.{table}_s3a"
    node.create(lake, COLUMNS, node.site.direct(table))
    node.site.sidecar.kill()
    assert sums(node, lake) == sales.sums


def test_partitions_are_found_and_pruned(node: PrestoNode, sales: Sales, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"day={number}").mkdir()
        write(tmp_path / f"day={number}/part.parquet", seed=number)
    node.site.upload(tmp_path, ["by_day"])
    node.create("by_day", f"{COLUMNS}, day integer", node.site.cached("by_day"), "day")
    node.presto.query("CALL system.sync_partition_metadata('default', 'by_day', 'FULL')")
    before = node.site.requests()
    rows = node.presto.query("SELECT day, count(*) FROM by_day WHERE day > 0 GROUP BY 1 ORDER BY 1")
    assert rows == [[1, ROWS], [2, ROWS]]
    assert node.site.requests().since(before).list <= 4


def test_a_replaced_file_is_never_served_from_the_old_one(
    node: PrestoNode, table: str, sales: Sales, tmp_path: Path
) -> None:
    assert sums(node, table) == sales.sums
    write(tmp_path / "part-0.parquet", seed=99, rows=7)
    node.site.upload(tmp_path, [table])
    assert sums(node, table)[0] == (FILES - 1) * ROWS + 7


@pytest.mark.usefixtures("revived")
def test_an_iceberg_warehouse_is_read_through_the_cache(node: PrestoNode) -> None:
    node.presto.query("CREATE TABLE store.db.kept (id bigint, note varchar)")
    node.presto.query("INSERT INTO store.db.kept VALUES (1, 'a'), (2, 'b')")
    await_settled()
    assert iceberg_rows(node, "kept") == [1, 2]
    before, calls = node.site.requests(), node.calls()
    assert iceberg_rows(node, "kept") == [1, 2]
    asked = node.site.requests().since(before)
    assert (asked.list, asked.head, asked.get) == (3, 8, 0)
    assert node.calls()["fill"] == calls["fill"]
    node.presto.query("INSERT INTO store.db.kept VALUES (3, 'c')")
    assert iceberg_rows(node, "kept") == [1, 2, 3]
    node.site.sidecar.kill()
    assert iceberg_rows(node, "kept") == [1, 2, 3]


def test_what_another_engine_appends_to_an_iceberg_table_is_seen_at_once(node: PrestoNode) -> None:
    """Another engine is played by what Presto wrote, taken away and put back past everybody."""
    node.presto.query("CREATE TABLE store.db.shared (id bigint)")
    node.presto.query("INSERT INTO store.db.shared VALUES 1")
    first = node.objects(f"{WAREHOUSE}/db/shared")
    node.presto.query("INSERT INTO store.db.shared VALUES 2")
    second = node.objects(f"{WAREHOUSE}/db/shared")
    for key in second.keys() - first.keys():
        node.site.store.delete_object(BUCKET, key)
    for key, data in first.items():
        node.site.store.put_object(BUCKET, key, data)
    node.site.sidecar.run("refresh", "-r", node.site.cached(WAREHOUSE).removeprefix("cache://"))
    for _ in range(2):  # the second time from what is known
        assert iceberg_rows(node, "shared") == [1]
    for key, data in second.items():
        node.site.store.put_object(BUCKET, key, data)
    assert iceberg_rows(node, "shared") == [1, 2]


def test_errors_say_what_to_do(node: PrestoNode, table: str) -> None:
    from prestodb.exceptions import PrestoQueryError

    with pytest.raises(PrestoQueryError, match="Cannot write to non-managed Hive table"):
        node.presto.query(f"INSERT INTO {table} VALUES (1, 2, 3.00, 'x')")
    with pytest.raises(PrestoQueryError, match="External location"):
        node.create("nowhere", COLUMNS, "cache:///nowhere/at/all")


@pytest.mark.parametrize("catalog", ["hive", "lake"])
def test_what_presto_writes_is_right_everywhere_and_warm(
    node: PrestoNode, spark: SparkSession, catalog: str
) -> None:
    """By ``cache://``, and by store URIs, where Presto's own class writes and the cache is told."""
    writes = Writes(node, catalog)
    values = "AS SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS v (id, p)"
    writes.create("plain", values)
    writes.query("INSERT INTO {plain} VALUES (3, 'c')")
    assert writes.rows("plain") == [1, 2, 3]
    writes.create("parts", values, "partitioned_by = ARRAY['p']")
    writes.query("INSERT INTO {parts} VALUES (3, 'b'), (4, 'c')")
    assert writes.rows("parts") == [1, 2, 3, 4]
    writes.query("INSERT INTO {parts} VALUES (5, 'b')", overwrite=True)
    assert writes.rows("parts") == [1, 4, 5]
    stored = sorted(node.objects(writes.folder))
    assert len([key for key in stored if "/plain/" in key]) == 2
    assert {key.split("/")[2] for key in stored if "/parts/" in key} == {"p=a", "p=b", "p=c"}
    assert not any("tmp/presto" in key for key in node.objects(""))

    before = node.site.requests()
    for name, ids in (("plain", [1, 2, 3]), ("parts", [1, 4, 5])):
        frame = spark.read.parquet(node.site.cached(f"{writes.folder}/{name}"))
        assert sorted(row["id"] for row in frame.select("id").collect()) == ids
    if catalog == "hive":
        assert node.site.requests().since(before).get == 0, "what was written is here"

    writes.query("DROP TABLE {plain}")
    writes.query("DROP TABLE {parts}")
    if catalog == "hive":  # it is the metastore that deletes, and this one has no S3 class
        assert node.objects(writes.folder) == {}


@pytest.mark.full
@pytest.mark.usefixtures("revived")
def test_fifty_kills_fail_no_query(node: PrestoNode, table: str, sales: Sales) -> None:
    between = 0
    for number in range(50):
        if number % 2:
            node.site.sidecar.run("evict", "/")
        found, hit = sums_with_a_kill(node, table, LONG_TIMES, tag=f"kill{number}")
        assert found == [LONG_TIMES * total for total in sales.sums], number
        between += hit
        node.site.sidecar.start()
    assert between >= 40


def iceberg_rows(node: PrestoNode, table: str) -> list[int]:
    """The ids in a table of the warehouse on ``cache://``."""
    return sorted(id for [id] in node.presto.query(f"SELECT id FROM iceberg.db.{table}"))


def sums(node: PrestoNode, table: str, more: str = "") -> list[int | Decimal]:
    [row] = node.presto.query(f"SELECT {SUMS} FROM {table} {more}")
    return [Decimal(v) if isinstance(v, str) else v for v in row]


def await_settled() -> None:
    """Until what was just uploaded is known by its time alone.

    Presto's S3 class tells no entity tag, and its times are whole seconds: younger files it reads
    itself.
    """
    uploaded_s = time.time()
    while time.time() - uploaded_s < SETTLED_S:
        time.sleep(0.05)


def sums_with_a_kill(
    node: PrestoNode, table: str, times: int, tag: str
) -> tuple[list[int | Decimal], bool]:
    """The sums, the sidecar killed on the way; whether some splits were done then, and some not.

    Each row is counted ``times`` times: that takes long enough to be met in the middle.
    """
    mark = f"/* {table} {tag} {times} */"
    more = f"CROSS JOIN UNNEST(sequence(1, {times})) {mark}"
    with ThreadPoolExecutor(1) as pool:
        query = pool.submit(sums, node, table, more)
        between = False
        while not query.done() and not between:
            stats = node.running(mark)
            between = stats is not None and 1 <= stats["completedDrivers"] < FILES
            time.sleep(0.005)
        node.site.sidecar.kill()
        return query.result(), between


class Writes:
    """Managed tables of a test, in the mount or by its store's URI."""

    def __init__(self, node: PrestoNode, catalog: str) -> None:
        self._node, self._catalog = node, catalog
        self.folder = f"written_{catalog}"
        place = node.site.cached if catalog == "hive" else node.site.direct
        node.site.store.put_object(BUCKET, f"{self.folder}/")
        node.presto.query(
            f"CREATE SCHEMA {catalog}.{self.folder} WITH (location = '{place(self.folder)}')"
        )

    def create(self, name: str, values: str, *properties: str) -> None:
        said = ", ".join(["format = 'PARQUET'", *properties])
        self.query(f"CREATE TABLE {{{name}}} WITH ({said}) {values}")

    def query(self, sql: str, *, overwrite: bool = False) -> list[list[int]]:
        existing = {f"{self._catalog}.insert_existing_partitions_behavior": "OVERWRITE"}
        cursor = self._node.presto.cursor(self._catalog, "default", existing if overwrite else {})
        cursor.execute(sql.format(plain=self._name("plain"), parts=self._name("parts")))
        found: list[list[int]] = cursor.fetchall()
        return found

    def rows(self, table: str) -> list[int]:
        return sorted(id for [id] in self.query(f"SELECT id FROM {{{table}}}"))

    def _name(self, table: str) -> str:
        return f"{self._catalog}.{self.folder}.{table}"
