package io.millpond.fs.local;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.BitSet;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What a reader gets of one block file: proven bytes or nothing. */
@Timeout(60)
class BlockTest {
    private static final int VALID = 3 * Layout.PAGE_BYTES + 5000;

    @TempDir Path temp;
    private CacheWriter writer;
    private FileId id;
    private BlockPool pool;
    private Recorder events;

    @BeforeEach
    void prepare() throws IOException {
        writer = new CacheWriter(temp);
        id = writer.randomId();
        events = new Recorder();
        pool = new BlockPool(temp, events, 8, BlockPool.IDLE_NS);
    }

    @Test
    void whatIsAbsentIsNull() throws IOException {
        assertNull(pool.acquire(id, 0, VALID));
        writer.createBlock(id, 0, VALID);
        assertNull(pool.acquire(id, 0, VALID - 1));
        assertNull(pool.acquire(id, 1, VALID));
        try (Block block = pool.acquire(id, 0, VALID)) {
            assertEquals(0, block.presentRun(0));
            assertEquals(0, block.read(0, new byte[10], 0, 10));
        }
        assertEquals(0, events.badPages());
    }

    @Test
    void pagesAppearWithoutReopening() throws IOException {
        writer.createBlock(id, 2, VALID);
        try (Block block = pool.acquire(id, 2, VALID)) {
            byte[] data = new byte[VALID];
            assertEquals(0, block.read(70_000, data, 0, 10));
            writer.fill(id, 2, 1, 2);
            assertEquals(10, block.read(70_000, data, 0, 10));
            assertEquals(2 * Layout.PAGE_BYTES - 70_000, block.presentRun(70_000));
            writer.fill(id, 2, 2, 4);
            assertEquals(2 * Layout.PAGE_BYTES - 70_000, block.presentRun(70_000));
            block.refresh();
            assertEquals(VALID - 70_000, block.presentRun(70_000));
            assertEquals(VALID - 70_000, block.read(70_000, data, 0, VALID));
            assertContent(2, 70_000, data, VALID - 70_000);
            assertEquals(0, block.read(VALID, data, 0, 1));
        }
    }

    /** Random fills and reads against the obvious model, through arrays and both buffers. */
    @Test
    void randomReadsEqualTheModel() throws IOException {
        Random random = new Random(11);
        int valid = 20 * Layout.PAGE_BYTES + 777;
        int pages = 21;
        for (int round = 0; round < 20; round++) {
            id = writer.randomId();
            writer.createBlock(id, round, valid);
            BitSet present = new BitSet();
            try (Block block = pool.acquire(id, round, valid)) {
                for (int step = 0; step < 60; step++) {
                    if (random.nextInt(4) == 0) {
                        int first = random.nextInt(pages);
                        int last = Math.min(pages, first + 1 + random.nextInt(4));
                        writer.fill(id, round, first, last);
                        present.set(first, last);
                        block.refresh();
                    }
                    int at = random.nextInt(valid);
                    int want = 1 + random.nextInt(random.nextBoolean() ? 300_000 : 9000);
                    int run = run(present, at, valid);
                    assertEquals(run, block.presentRun(at));
                    checkRead(block, round, at, want, Math.min(run, want), step % 3);
                }
            }
        }
        assertEquals(0, events.badPages());
        assertEquals(0, events.troubles());
    }

    private static int run(BitSet present, int at, int valid) {
        int page = at / Layout.PAGE_BYTES;
        int end = Math.min(valid, present.nextClearBit(page) * Layout.PAGE_BYTES);
        return Math.max(0, end - at);
    }

    private void checkRead(Block block, int number, int at, int want, int expected, int way)
            throws IOException {
        byte[] data = new byte[want + 7];
        int count;
        if (way == 0) {
            count = block.read(at, data, 3, want);
        } else {
            ByteBuffer buffer =
                    way == 1 ? ByteBuffer.allocate(want + 7) : ByteBuffer.allocateDirect(want + 7);
            buffer.position(3).limit(3 + want);
            count = block.read(at, buffer);
            assertEquals(3 + count, buffer.position());
            assertEquals(3 + want, buffer.limit());
            buffer.clear();
            buffer.get(data);
        }
        assertEquals(expected, count);
        assertContent(number, at, Arrays.copyOfRange(data, 3, 3 + count), count);
        assertArrayEquals(new byte[3], Arrays.copyOf(data, 3));
        byte[] behind = Arrays.copyOfRange(data, 3 + want, want + 7);
        assertArrayEquals(new byte[4], behind);
    }

    private void assertContent(int block, int at, byte[] data, int count) {
        long offset = (long) block * Layout.BLOCK_BYTES + at;
        assertArrayEquals(CacheWriter.content(id, offset, count), Arrays.copyOf(data, count));
    }

    /** Any flipped bit of fixed header, map, CRCs or data: other bytes are never served. */
    @Test
    void aFlipInAnyRegionIsDetectedOrAbsent() throws IOException {
        writer.block(id, 0, VALID);
        Path file = writer.blockPath(id, 0);
        byte[] good = Files.readAllBytes(file);
        Random random = new Random(5);
        int[] bounds = {0, 60, 64, 96, 1024, 1040, Layout.DATA_OFFSET, good.length};
        int[] tries = {120, 0, 64, 0, 128, 0, 300};
        int absent = 0;
        for (int region = 0; region < tries.length; region++) {
            for (int i = 0; i < tries[region]; i++) {
                int at = bounds[region] + random.nextInt(bounds[region + 1] - bounds[region]);
                absent += flipped(file, at, 1 << random.nextInt(8), good) ? 0 : 1;
            }
        }
        // all but the flips in map bits behind the last page
        assertTrue(absent > 120 + 128 + 300, "absent: " + absent);
    }

    /** Whether everything was still readable (and right) with one bit flipped. */
    private boolean flipped(Path file, int at, int bit, byte[] good) throws IOException {
        try (RandomAccessFile out = new RandomAccessFile(file.toFile(), "rw");
                BlockPool fresh = new BlockPool(temp, events, 8, BlockPool.IDLE_NS)) {
            out.seek(at);
            out.write(good[at] ^ bit);
            try (Block block = fresh.acquire(id, 0, VALID)) {
                return block != null && readAll(block);
            } finally {
                out.seek(at);
                out.write(good[at]);
            }
        }
    }

    private boolean readAll(Block block) throws IOException {
        boolean all = true;
        for (int page = 0; page < 4; page++) {
            int start = page * Layout.PAGE_BYTES;
            int size = Math.min(Layout.PAGE_BYTES, VALID - start);
            byte[] data = new byte[size];
            int count = block.read(start, data, 0, size);
            assertContent(0, start, data, count);
            all &= count == size;
        }
        return all;
    }

    @Test
    void aBadPageIsAbsentAndReportedOnceAndTheOthersStay() throws IOException {
        writer.block(id, 0, VALID);
        try (RandomAccessFile out =
                new RandomAccessFile(writer.blockPath(id, 0).toFile(), "rw")) {
            out.seek(Layout.DATA_OFFSET + Layout.PAGE_BYTES + 17);
            out.write(0xff);
        }
        try (Block block = pool.acquire(id, 0, VALID)) {
            byte[] data = new byte[VALID];
            ByteBuffer buffer = ByteBuffer.wrap(data);
            assertEquals(Layout.PAGE_BYTES, block.read(0, buffer));
            assertEquals(Layout.PAGE_BYTES, buffer.position());
            assertEquals(0, block.read(Layout.PAGE_BYTES, data, 0, 5));
            assertEquals(0, block.read(Layout.PAGE_BYTES, data, 0, Layout.PAGE_BYTES));
            assertEquals(Layout.PAGE_BYTES, block.presentRun(0));
            assertEquals(5000, block.read(3 * Layout.PAGE_BYTES, data, 0, VALID));
            assertEquals(1, events.badPages());
            assertEquals(id + " 0 1 " + block.generation(), events.lastBadPage());
        }
    }

    @Test
    void aHoleUnderASetBitIsNotServed() throws IOException {
        writer.createBlock(id, 0, VALID);
        try (RandomAccessFile out =
                new RandomAccessFile(writer.blockPath(id, 0).toFile(), "rw")) {
            out.seek(64);
            out.write(0x0f);
        }
        try (Block block = pool.acquire(id, 0, VALID)) {
            for (int page = 0; page < 4; page++) {
                assertEquals(0, block.read(page * Layout.PAGE_BYTES, new byte[9], 0, 9));
            }
        }
        assertEquals(4, events.badPages());
    }

    /** A bit that is read before its CRC arrived is no bad page: the header is looked at again. */
    @Test
    void aCrcThatComesLateIsFound() throws IOException {
        writer.createBlock(id, 0, VALID);
        Path file = writer.blockPath(id, 0);
        writer.fill(id, 0, 0, 4);
        byte[] filled = Files.readAllBytes(file);
        try (RandomAccessFile out = new RandomAccessFile(file.toFile(), "rw")) {
            out.seek(1024);
            out.write(new byte[16]);
            try (Block block = pool.acquire(id, 0, VALID)) {
                out.seek(1024);
                out.write(filled, 1024, 16);
                assertTrue(readAll(block));
            }
        }
        assertEquals(0, events.badPages());
    }

    @Test
    void anEvictedBlockStaysReadableUntilItIsRetired() throws IOException {
        writer.block(id, 0, VALID);
        try (Block block = pool.acquire(id, 0, VALID)) {
            long before = block.generation();
            assertTrue(block.linked());
            Files.delete(writer.blockPath(id, 0));
            assertFalse(block.linked());
            assertTrue(readAll(block));
            long after = writer.createBlock(id, 0, VALID);
            assertFalse(block.linked());
            assertNotEquals(before, after);
            block.retire();
            try (Block again = pool.acquire(id, 0, VALID)) {
                assertEquals(after, again.generation());
                assertTrue(again.linked());
                assertEquals(0, again.presentRun(0));
            }
            assertEquals(after, block.generation());
            assertEquals(0, block.read(0, new byte[9], 0, 9));
        }
    }

    @Test
    void aFileCutByHandIsAbsent() throws IOException {
        writer.block(id, 0, VALID);
        try (Block block = pool.acquire(id, 0, VALID);
                RandomAccessFile out =
                        new RandomAccessFile(writer.blockPath(id, 0).toFile(), "rw")) {
            byte[] data = new byte[VALID];
            assertEquals(9, block.read(0, data, 0, 9));
            out.setLength(Layout.DATA_OFFSET + 100);
            assertEquals(0, block.read(Layout.PAGE_BYTES, data, 0, 9));
            assertEquals(100, block.read(0, data, 0, VALID));
            out.setLength(0);
            assertEquals(0, block.read(0, data, 0, VALID));
        }
        try (BlockPool fresh = new BlockPool(temp, events, 8, BlockPool.IDLE_NS)) {
            assertNull(fresh.acquire(id, 0, VALID));
        }
        assertNotNull(events.lastTrouble());
    }
}
