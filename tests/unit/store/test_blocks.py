"""Writers and readers of blocks, and what a flipped bit or a cut file does to them."""

import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from millpond.errors import Corrupt, Internal, InvalidRequest
from millpond.model.sizes import BLOCK_BYTES, PAGE_BYTES
from tests.fixtures.tiny_reader import TinyReader, block_path

FILE_ID = bytes(range(16))
VALID = 5 * PAGE_BYTES - 100
DATA = random.Random(1).randbytes(VALID)


def page(number):
    return DATA[number * PAGE_BYTES : (number + 1) * PAGE_BYTES]


def fill(store, pages=range(5)):
    writer = store.writer(FILE_ID, 2, VALID)
    for number in pages:
        writer.put(number, page(number))
    return writer


def test_what_is_put_is_read_back(store):
    writer = store.writer(FILE_ID, 2, VALID)
    assert writer.present == 0 == store.page_map(FILE_ID, 2)
    assert writer.put(1, page(1) + page(2)) == 0b110
    assert writer.put(0, memoryview(DATA)) == 0b11001
    assert writer.put(0, DATA) == 0
    assert writer.present == 0b11111 == store.page_map(FILE_ID, 2)
    assert writer.read(7, VALID) == DATA[7:]
    assert store.read(FILE_ID, 2, 0, VALID) == DATA
    assert store.read(FILE_ID, 2, PAGE_BYTES - 1, PAGE_BYTES + 1) == DATA[PAGE_BYTES - 1 :][:2]
    writer.close()
    assert store.page_map(FILE_ID, 2) == 0b11111
    reader = TinyReader(block_path(store.directory, FILE_ID, 2), FILE_ID, 2)
    assert [reader.read_page(n) for n in range(6)] == [*map(page, range(5)), None]
    reader.close()


def test_the_file_is_sparse_and_accounted_as_the_disk_counts_it(store):
    writer = store.writer(FILE_ID, 0, BLOCK_BYTES)
    path = block_path(store.directory, FILE_ID, 0)
    for number in (0, 200, 17):
        writer.put(number, bytes(PAGE_BYTES))
        info = path.stat()
        assert info.st_size == BLOCK_BYTES + PAGE_BYTES
        assert store.stats().used_bytes == info.st_blocks * 512
    assert path.stat().st_blocks * 512 < 5 * PAGE_BYTES
    writer.close()
    assert (store.stats().blocks, store.stats().inodes) == (1, 1)


@pytest.mark.parametrize(
    ("first", "size"), [(0, 100), (0, 0), (4, PAGE_BYTES), (5, 10), (-1, PAGE_BYTES), (3, 70000)]
)
def test_what_is_no_page_is_refused(store, first, size):
    writer = store.writer(FILE_ID, 2, VALID)
    with pytest.raises(InvalidRequest):
        writer.put(first, bytes(size))
    assert writer.present == 0
    writer.close()


def test_absent_pages_are_not_read(store):
    writer = fill(store, [0, 2])
    assert store.read(FILE_ID, 2, 0, PAGE_BYTES + 1) is None
    assert store.read(FILE_ID, 2, 0, PAGE_BYTES) == page(0)
    assert store.read(FILE_ID, 9, 0, 1) is None
    assert store.read(FILE_ID, 2, 0, VALID + 1) is None
    with pytest.raises(Corrupt):
        writer.read(PAGE_BYTES, PAGE_BYTES + 1)
    writer.close()
    with pytest.raises(Internal):
        writer.put(1, page(1))


def test_one_writer_a_block_shared_until_the_last_close(store):
    first, second = fill(store, [0]), store.writer(FILE_ID, 2, VALID)
    assert first is second
    first.close()
    assert second.put(1, page(1)) == 0b10
    second.close()
    third = store.writer(FILE_ID, 2, VALID)
    assert (third.present, third.generation) == (0b11, first.generation)
    third.close()


def test_an_evicted_block_goes_on_for_its_writer_and_readers(store):
    writer = fill(store, [0])
    reader = TinyReader(block_path(store.directory, FILE_ID, 2), FILE_ID, 2)
    assert store.drop_file(FILE_ID) > 0
    assert not writer.linked
    assert writer.put(1, page(1)) == 0b10
    assert (reader.read_page(0), reader.read_page(1)) == (page(0), page(1))
    assert store.page_map(FILE_ID, 2) == 0
    other = store.writer(FILE_ID, 2, VALID)
    assert other is not writer
    assert other.generation != writer.generation
    assert other.present == 0
    writer.close()
    assert other.put(0, page(0)) == 1
    other.close()
    reader.close()
    assert store.stats().blocks == 1
    assert store.evict([FILE_ID, bytes(16)]) > 0
    assert (store.stats().used_bytes, store.stats().blocks) == (0, 0)
    assert list((store.directory / "blocks").glob("*/*")) == []


def test_another_length_is_another_block(store):
    fill(store).close()
    writer = store.writer(FILE_ID, 2, VALID - 1)
    assert writer.present == 0
    writer.close()


def _flip(path, at, bit):
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1) or b"\0"
        file.seek(at)
        file.write(bytes([byte[0] ^ 1 << bit]))


REGIONS = {
    "fixed": range(60), "zeros": range(60, 64), "map": range(64, 96), "gap": range(96, 1024),
    "crcs": range(1024, 2048), "header_end": range(2048, 4096), "hole": range(4096, PAGE_BYTES),
    "data": range(PAGE_BYTES, 3 * PAGE_BYTES), "absent_data": range(3 * PAGE_BYTES, 4 * PAGE_BYTES),
}  # fmt: skip


@pytest.mark.parametrize("region", REGIONS)
def test_a_flip_anywhere_is_found_or_harmless(store, region):
    rng = random.Random(region)
    path = block_path(store.directory, FILE_ID, 2)
    for _ in range(25):
        fill(store, [0, 1, 3]).close()
        _flip(path, rng.choice(REGIONS[region]), rng.randrange(8))
        for number in range(5):
            got = store.read(FILE_ID, 2, number * PAGE_BYTES, min((number + 1) * PAGE_BYTES, VALID))
            assert got in (None, page(number))
        found = not path.exists()
        assert found or region not in ("fixed", "data")
        assert not found or region not in ("absent_data", "hole", "gap", "zeros", "header_end")
        fill(store).close()
        assert store.read(FILE_ID, 2, 0, VALID) == DATA, "it was not filled anew"
        store.drop_file(FILE_ID)


def test_a_bad_page_is_verified_before_its_block_goes(store, caplog):
    writer = fill(store)
    path = block_path(store.directory, FILE_ID, 2)
    assert not store.report_bad_page(FILE_ID, 2, 3, writer.generation)
    assert not store.report_bad_page(FILE_ID, 7, 3, writer.generation)
    _flip(path, PAGE_BYTES * 4 + 5, 3)
    assert not store.report_bad_page(FILE_ID, 2, 3, writer.generation ^ 1)
    assert path.exists()
    assert store.report_bad_page(FILE_ID, 2, 3, writer.generation)
    assert not path.exists()
    assert not store.report_bad_page(FILE_ID, 2, 3, writer.generation)
    assert store.stats().corrupt_pages == 1
    (line,) = (r.getMessage() for r in caplog.records if r.levelname == "WARNING")
    assert f"{path}: page 3 fails its checksum" in line
    assert "smartctl" in line
    again = store.writer(FILE_ID, 2, VALID)
    assert (again.present, again is writer) == (0, False)
    again.close()
    writer.close()


def test_a_writer_that_reads_a_bad_page_unlinks_the_block(store):
    writer = fill(store)
    _flip(block_path(store.directory, FILE_ID, 2), PAGE_BYTES * 2, 0)
    assert writer.read(0, 10) == DATA[:10]
    with pytest.raises(Corrupt):
        writer.read(0, VALID)
    assert not writer.linked
    writer.close()


def test_many_who_meet_one_bad_page_are_one_line_and_one_count(store, caplog):
    writer = fill(store)
    _flip(block_path(store.directory, FILE_ID, 2), PAGE_BYTES * 4 + 5, 3)
    together = threading.Barrier(8)

    def report(_):
        together.wait()
        return store.report_bad_page(FILE_ID, 2, 3, writer.generation)

    with ThreadPoolExecutor(8) as pool:
        assert any(pool.map(report, range(8)))
    assert store.stats().corrupt_pages == 1
    assert len([r for r in caplog.records if "bad block file" in r.getMessage()]) == 1
    writer.close()


@pytest.mark.parametrize("size", [0, 100, 4096, PAGE_BYTES, PAGE_BYTES + VALID - 1])
def test_a_cut_block_is_made_anew(store, size):
    fill(store).close()
    path = block_path(store.directory, FILE_ID, 2)
    os.truncate(path, size)
    assert store.page_map(FILE_ID, 2) == 0
    assert not path.exists()
    fill(store).close()
    os.truncate(path, size)
    writer = store.writer(FILE_ID, 2, VALID)
    assert writer.put(0, DATA) == 0b11111
    writer.close()
    assert store.read(FILE_ID, 2, 0, VALID) == DATA


def test_a_block_under_anothers_name_is_not_believed(store):
    fill(store).close()
    other = bytes(16)
    target = block_path(store.directory, other, 2)
    target.parent.mkdir(parents=True)
    os.link(block_path(store.directory, FILE_ID, 2), target)
    assert store.page_map(other, 2) == 0
    assert not target.exists()
    assert store.page_map(FILE_ID, 2) == 0b11111


def test_threads_that_fill_one_block_and_evict_it_agree(store):
    """Each page read back is right, whoever won; nothing hangs; the accounts end at nothing."""
    stop, errors = threading.Event(), []

    def work(seed):
        rng = random.Random(seed)
        try:
            while not stop.is_set():
                action = rng.randrange(8)
                number = rng.randrange(5)
                if action < 5:
                    with_closing = store.writer(FILE_ID, 2, VALID)
                    with_closing.put(number, DATA[number * PAGE_BYTES :])
                    assert with_closing.present >> number & 1
                    with_closing.close()
                elif action < 7:
                    got = store.read(FILE_ID, 2, number * PAGE_BYTES, number * PAGE_BYTES + 99)
                    assert got in (None, page(number)[:99])
                else:
                    store.drop_file(FILE_ID) if rng.random() < 0.5 else store.free(1)
        except BaseException as e:
            errors.append(e)
            stop.set()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    stop.wait(2.0)
    stop.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    assert errors == []
    store.drop_file(FILE_ID)
    stats = store.stats()
    assert (stats.blocks, stats.used_bytes, stats.corrupt_pages) == (0, 0, 0)
