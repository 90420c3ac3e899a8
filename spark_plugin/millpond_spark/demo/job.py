"""The demo's job: four questions about the flights, each a join and an aggregation.

Every answer consists of names and whole numbers, so that Spark's can be compared with Arrow's for
equality, whatever the order of additions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Answers = dict[str, list[tuple[Any, ...]]]


def with_spark(spark: SparkSession, base: str) -> Answers:
    """The answers, computed by Spark from the tables below the URI ``base``."""
    from pyspark.sql import functions as F

    def table(name: str) -> DataFrame:
        return spark.read.parquet(f"{base}/{name}")

    flights = table("flights")
    late = F.sum("dep_delay").alias("late")
    wind = F.floor(F.col("wind_speed") / 10).alias("wind")
    airports = table("airports").select(F.col("faa").alias("dest"), F.col("name").alias("airport"))
    questions = {
        "carriers": flights.join(table("airlines"), "carrier")
        .groupBy("name")
        .agg(F.count("*"), F.count("dep_time"), late),
        "wind": flights.select("origin", "time_hour", "dep_delay")
        .join(table("weather").select("origin", "time_hour", wind), ["origin", "time_hour"])
        .groupBy("origin", "wind")
        .agg(F.count("*"), late),
        "makers": flights.select("tailnum", "distance")
        .join(table("planes").select("tailnum", "manufacturer", "seats"), "tailnum")
        .groupBy("manufacturer")
        .agg(F.count("*"), F.sum("seats"), F.sum("distance")),
        "airports": flights.select("month", "dest", "air_time")
        .join(airports, "dest")
        .groupBy("month", "airport")
        .agg(F.count("*"), F.sum("air_time")),
    }
    return {name: _sorted(map(tuple, frame.collect())) for name, frame in questions.items()}


def with_arrow(tables: dict[str, pa.Table]) -> Answers:
    """The same answers, computed by Arrow: the oracle."""
    flights = tables["flights"]
    weather = tables["weather"].select(["origin", "time_hour"])
    wind = pc.floor(pc.divide(tables["weather"]["wind_speed"], 10.0)).cast(pa.int64())
    weather = weather.append_column("wind", wind)
    airports = tables["airports"].select(["faa", "name"]).rename_columns(["dest", "airport"])
    rows: tuple[list[str], str] = ([], "count_all")
    return {
        "carriers": _answer(
            flights.join(tables["airlines"], "carrier", join_type="inner"),
            ["name"],
            [rows, ("dep_time", "count"), ("dep_delay", "sum")],
        ),
        "wind": _answer(
            flights.join(weather, ["origin", "time_hour"], join_type="inner"),
            ["origin", "wind"],
            [rows, ("dep_delay", "sum")],
        ),
        "makers": _answer(
            flights.join(tables["planes"].drop_columns("year"), "tailnum", join_type="inner"),
            ["manufacturer"],
            [rows, ("seats", "sum"), ("distance", "sum")],
        ),
        "airports": _answer(
            flights.join(airports, "dest", join_type="inner"),
            ["month", "airport"],
            [rows, ("air_time", "sum")],
        ),
    }


def _answer(table: pa.Table, by: list[str], sums: list[tuple[Any, str]]) -> list[tuple[Any, ...]]:
    grouped = table.group_by(by).aggregate(sums)
    names = [*by, *("_".join([column, how]) if column else how for column, how in sums)]
    return _sorted(zip(*(grouped[name].to_pylist() for name in names), strict=True))


def _sorted(rows: Any) -> list[tuple[Any, ...]]:
    return sorted(rows, key=lambda row: tuple((value is not None, value) for value in row))
