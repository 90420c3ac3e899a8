"""Write the language-neutral vectors in tests/contract/vectors, read by pytest and JUnit.

Run it after a deliberate change of a name or layout; the tests compare, they never regenerate.
"""

from __future__ import annotations

import json
from pathlib import Path

from crc32c import crc32c

from millpond import errors
from millpond.model import block, paths, records

OUT = Path(__file__).parent.parent / "tests/contract/vectors"
VERSION = "9b2cf535f27731c974343645a3985328:12"
BORN = "born:000102030405060708090a0b0c0d0e0f"
BOOT = bytes(range(16))


def path_vectors() -> dict[str, object]:
    uris = [
        "cache:///flights/year=2013/part-0.parquet", "cache://prod/flights/a", "cache:///", "/a/b/",
        "CACHE:///a", "cache:/a/b", "cache:///a//b", "cache:///a b/100%/c%20d+e", "cache:///é/日本",
        "cache:///a/...", "cache:///a/.hidden", "cache:///a%2fb", "cache:///a:b/c", "cache://prod",
    ]  # fmt: skip
    bad = [
        "cache:///a/../b", "cache:///a/./b", "cache:///a/%2e%2e/b", "cache:///a/%2E/b",
        "cache:///a/.%2e", "cache:///a\0b", "s3a://bucket/key", "cache://host:8020/a",
        "cache://10.0.0.1/a", "a/b", "", "cache:a", "cache:///" + "x" * 8192, "cache://a.b/c",
        "cache:///..",
    ]  # fmt: skip
    keys = ["part-0.parquet", "a//b", "100%/ü", ""]
    stores = [paths.store_path("0123456789abcdef", "bucket", k) for k in keys]
    hexes = "0123456789abcdef" * 2
    names = [
        f"/a/.millpond-{hexes}/0/b", f"/.millpond-{hexes}", f"a/.millpond-{hexes}/",
        f"/a/.millpond-{hexes}0/b", f"/a/.millpond-{hexes[1:]}/b", f"/a/x.millpond-{hexes}/b",
        f"/a/.millpond-{hexes}\n", f"/a/.millpond-{hexes[:16]}.tmp", f"/a/.MILLPOND-{hexes}/b",
        f"/a/.millpond-{hexes.upper()}/b", "/a/b",
    ]  # fmt: skip
    return {
        "staged": [{"path": name, "staged": paths.staged(name) is not None} for name in names],
        "uris": [{"uri": u, "path": paths.parse_uri(u)} for u in uris],
        "invalid": bad,
        "store_paths": [
            {
                "store_path": s,
                "sha256": paths.path_hash(s).hex(),
                "meta": paths.meta_name(paths.path_hash(s)),
                "dir": paths.dir_name(paths.path_hash(s)),
                "epoch_slot": paths.epoch_slot(paths.path_hash(s)),
                "version": version,
                "file_id": paths.file_id(s, version).hex(),
                "block_3": paths.block_name(paths.file_id(s, version), 3),
            }
            for s, version in [*((s, VERSION) for s in stores), (stores[0], BORN)]
        ],
    }


def layout_vectors() -> dict[str, object]:
    store_path = "0123456789abcdef/bucket/a b/100%"
    fid = paths.file_id(store_path, "etag:200000")
    header = block.Header(fid, 2, 200_000, 0xFEDCBA9876543210)
    page = bytes(i * 7 % 251 for i in range(200_000 - 3 * 65536))
    small = records.Meta(
        store_path, fid, "etag:5", 5, 1_700_000_000_123, 10**15, BOOT, False, b"\0\1", b"hello"
    )
    large = records.Meta(store_path, fid, "etag:200000", 200_000, -1, 0, BOOT, True)
    born_id = paths.file_id(store_path, BORN)
    pending = records.Meta(
        store_path, born_id, BORN, 70_000, 1_700_000_000_123, 10**15, BOOT, pending=True
    )
    persisted = records.Meta(
        store_path, born_id, BORN, 3, 1_700_000_000_123, 10**15, BOOT,
        content=b"abc", store_version="etag:3",
    )  # fmt: skip
    stamp = records.DirStamp("0123456789abcdef/bucket/a b", 2**62, 12345, BOOT)
    lease = records.Lease(10**15, BOOT, 2**64 - 1, 2**63 + 1, 4242, 1, 3)
    return {
        "block": {
            "file_id": fid.hex(), "block": 2, "valid_bytes": 200_000,
            "generation": "fedcba9876543210", "pages": header.pages,
            "header": header.pack(crc32c)[: block.READ_BYTES].hex(),
            "page_3_bytes": "byte i is i*7 mod 251", "page_3_length": len(page),
            "page_3_crc": block.page_crc(crc32c, fid, 2, 3, page),
            "page_3_offset": block.page_offset(3),
        },
        "meta_small": {
            "store_path": store_path, "file_id": fid.hex(), "version": "etag:5", "length": 5,
            "mtime_ms": 1_700_000_000_123, "validated_ns": 10**15, "boot_id": BOOT.hex(),
            "weak": False, "places": "0001", "content": b"hello".hex(),
            "pending": False, "store_version": "",
            "record": small.pack(crc32c).hex(),
        },
        "meta_large": {
            "store_path": store_path, "file_id": fid.hex(), "version": "etag:200000",
            "length": 200_000, "mtime_ms": -1, "validated_ns": 0, "boot_id": BOOT.hex(),
            "weak": True, "places": "", "content": None, "pending": False, "store_version": "",
            "record": large.pack(crc32c).hex(),
        },
        "meta_pending": _born(pending),
        "meta_persisted": _born(persisted),
        "dir": {
            "store_path": stamp.store_path, "validated_ns": 2**62, "covers_from_ns": 12345,
            "boot_id": BOOT.hex(), "record": stamp.pack(crc32c).hex(),
        },
        "lease": {
            "renewed_ns": 10**15, "valid_for_ns": records.LEASE_VALID_NS, "boot_id": BOOT.hex(),
            "instance": "ffffffffffffffff", "epochs_id": "8000000000000001", "pid": 4242,
            "protocol_min": 1, "protocol_max": 3, "record": lease.pack(crc32c).hex(),
        },
        "epochs_head": records.pack_epochs(0x0102030405060708)[:32].hex(),
        "mounts": {"table": "0a00", "record": records.pack_mounts(b"\n\0", crc32c).hex()},
    }  # fmt: skip


def _born(meta: records.Meta) -> dict[str, object]:
    return {
        "store_path": meta.store_path, "file_id": meta.file_id.hex(), "version": meta.version,
        "length": meta.length, "mtime_ms": meta.mtime_ms, "validated_ns": meta.validated_ns,
        "boot_id": BOOT.hex(), "weak": False, "places": "",
        "content": None if meta.content is None else meta.content.hex(),
        "pending": meta.pending, "store_version": meta.store_version,
        "record": meta.pack(crc32c).hex(),
    }  # fmt: skip


def error_vectors() -> list[dict[str, object]]:
    table = sorted(errors.BY_CODE.items())
    return [{"code": c, "name": e.__name__, "retriable": e.retriable} for c, e in table]


def vectors() -> dict[str, object]:
    """File name → content."""
    return {
        "paths.json": path_vectors(),
        "layouts.json": layout_vectors(),
        "errors.json": error_vectors(),
    }


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    for name, content in vectors().items():
        (OUT / name).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
