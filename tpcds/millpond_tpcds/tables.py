"""The 24 tables of TPC-DS: which are large, and by which date the large ones are partitioned."""

from __future__ import annotations

# Fact table → the date key it is partitioned by.
FACTS = {
    "catalog_returns": "cr_returned_date_sk",
    "catalog_sales": "cs_sold_date_sk",
    "inventory": "inv_date_sk",
    "store_returns": "sr_returned_date_sk",
    "store_sales": "ss_sold_date_sk",
    "web_returns": "wr_returned_date_sk",
    "web_sales": "ws_sold_date_sk",
}
DIMENSIONS = (
    "call_center", "catalog_page", "customer", "customer_address", "customer_demographics",
    "date_dim", "household_demographics", "income_band", "item", "promotion", "reason",
    "ship_mode", "store", "time_dim", "warehouse", "web_page", "web_site",
)  # fmt: skip
TABLES = (*DIMENSIONS, *FACTS)

# A column that the queries of specification 1.4 know by an older name, added by both engines.
RENAMED = {"customer": {"c_last_review_date": "c_last_review_date_sk"}}

# MiB of Parquet (Snappy) at scale 1, of the tables that grow beyond one file; measured.
_MIB_AT_SCALE_1 = {
    "catalog_returns": 11, "catalog_sales": 93, "inventory": 34, "store_returns": 15,
    "store_sales": 115, "web_returns": 6, "web_sales": 44,
}  # fmt: skip
_FILE_MIB = 160  # on average; the smallest of equal parts stays above 128
_OTHERS_MIB_AT_SCALE_1 = 22


def parts(table: str, scale: float) -> int:
    """Into how many files a table is written: none below 128 MiB where the table is not."""
    return max(1, int(_MIB_AT_SCALE_1.get(table, 0) * scale // _FILE_MIB))


def expected_bytes(scale: float) -> int:
    """About what all tables take as Parquet."""
    return int((sum(_MIB_AT_SCALE_1.values()) + _OTHERS_MIB_AT_SCALE_1) * max(scale, 0.05)) << 20
