package io.millpond.fs.local;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** How many descriptors there are, for how long, and what happens when things vanish. */
@Timeout(60)
class BlockPoolTest {
    private static final int VALID = 2 * Layout.PAGE_BYTES;

    @TempDir Path temp;
    private CacheWriter writer;
    private FileId id;
    private Recorder events;

    @BeforeEach
    void prepare() throws IOException {
        writer = new CacheWriter(temp);
        id = writer.randomId();
        events = new Recorder();
    }

    private BlockPool pool(int maxIdle, long idleMs) {
        return new BlockPool(temp, events, maxIdle, TimeUnit.MILLISECONDS.toNanos(idleMs));
    }

    @Test
    void idleDescriptorsAreBoundedAndTheOldestGoFirst() throws IOException {
        try (BlockPool pool = pool(4, 60_000)) {
            for (int block = 0; block < 10; block++) {
                writer.block(id, block, VALID);
                pool.acquire(id, block, VALID).close();
            }
            assertEquals(4, pool.size());
            for (int block = 0; block < 10; block++) {
                Files.delete(writer.blockPath(id, block));
            }
            for (int block = 0; block < 10; block++) {
                Block left = pool.acquire(id, block, VALID);
                assertEquals(block >= 6, left != null, "block " + block);
                if (left != null) {
                    assertReads(left, block);
                    left.close();
                }
            }
        }
    }

    @Test
    void readersPinNoDescriptors() throws IOException {
        try (BlockPool pool = pool(2, 60_000)) {
            List<Block> known = new ArrayList<>();
            for (int block = 0; block < 8; block++) {
                writer.block(id, block, VALID);
                known.add(pool.acquire(id, block, VALID));
            }
            for (int round = 0; round < 3; round++) {
                for (int block = 0; block < 8; block++) {
                    assertReads(known.get(block), block);
                    assertTrue(pool.size() <= 3, "size " + pool.size());
                }
            }
            assertTrue(openFiles() <= 3);
        }
    }

    /** Each read is told once, wherever the descriptor went meanwhile. */
    @Test
    void readsAreCountedForTheReport() throws IOException {
        Random random = new Random(21);
        int[] made = new int[12];
        int[] told = new int[made.length];
        try (BlockPool pool = pool(4, 60_000)) {
            Block[] known = new Block[made.length];
            for (int block = 0; block < made.length; block++) {
                writer.block(id, block, VALID);
                known[block] = pool.acquire(id, block, VALID);
            }
            for (int step = 0; step < 2000; step++) {
                int block = random.nextInt(made.length);
                int want = 1 + random.nextInt(100);
                assertEquals(want, known[block].read(step, new byte[want], 0, want));
                assertEquals(0, known[block].read(VALID, new byte[want], 0, want));
                made[block]++;
                if (random.nextInt(100) == 0) {
                    known[block].retire();
                }
                if (random.nextInt(50) == 0) {
                    pool.drainReads((file, number, reads) -> told[number] += reads);
                }
            }
            pool.drainReads((file, number, reads) -> told[number] += reads);
            assertArrayEquals(made, told);
            pool.drainReads((file, number, reads) -> told[number] += reads);
            assertArrayEquals(made, told);
        }
    }

    @Test
    void idleDescriptorsCloseByThemselves() throws Exception {
        try (BlockPool pool = pool(100, 60)) {
            for (int block = 0; block < 5; block++) {
                writer.block(id, block, VALID);
                pool.acquire(id, block, VALID).close();
            }
            await(() -> pool.size() == 0);
            assertEquals(0, openFiles());
            pool.acquire(id, 0, VALID).close();
            await(() -> pool.size() == 0);
        }
    }

    @Test
    void anEvictedInodeInSteadyUseIsGivenUp() throws Exception {
        try (BlockPool pool = pool(100, 60)) {
            writer.block(id, 0, VALID);
            long first = generation(pool);
            Files.delete(writer.blockPath(id, 0));
            writer.block(id, 0, VALID);
            await(() -> generation(pool) != first);
            try (Block block = pool.acquire(id, 0, VALID)) {
                assertReads(block, 0);
            }
            await(() -> openFiles() <= 1);
        }
    }

    private long generation(BlockPool pool) throws IOException {
        try (Block block = pool.acquire(id, 0, VALID)) {
            return block.generation();
        }
    }

    @Test
    void aDeletedDirectoryIsAbsentAndComesBack() throws IOException {
        try (BlockPool pool = pool(100, 60_000)) {
            writer.block(id, 0, VALID);
            Block old = pool.acquire(id, 0, VALID);
            deleteTree(temp.resolve("blocks"));
            assertReads(old, 0);
            assertFalse(old.linked());
            assertNull(pool.acquire(id, 1, VALID));
            old.retire();
            assertNull(pool.acquire(id, 0, VALID));
            assertEquals(0, old.read(0, new byte[9], 0, 9));
            writer.block(id, 0, VALID);
            assertReads(old, 0);
        }
        assertEquals(0, openFiles());
    }

    @Test
    void aFileThatMayNotBeReadIsAbsentWithItsReason() throws IOException {
        writer.block(id, 0, VALID);
        Path file = writer.blockPath(id, 0);
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("---------"));
        Assumptions.assumeFalse(Files.isReadable(file), "root reads everything");
        try (BlockPool pool = pool(8, 60_000)) {
            assertNull(pool.acquire(id, 0, VALID));
            assertEquals(LocalEvents.Trouble.PERMISSION, events.lastTrouble());
        }
    }

    @Test
    void manyThreadsShareFewDescriptors() throws Exception {
        int blocks = 24;
        for (int block = 0; block < blocks; block++) {
            writer.block(id, block, VALID);
        }
        ExecutorService threads = Executors.newFixedThreadPool(8);
        try (BlockPool pool = pool(6, 60_000)) {
            List<Future<Integer>> all = new ArrayList<>();
            for (int t = 0; t < 8; t++) {
                all.add(threads.submit(() -> readRandomly(pool, blocks, 4000)));
            }
            for (Future<Integer> each : all) {
                assertEquals(4000, each.get());
            }
            assertTrue(pool.size() <= 6, "size " + pool.size());
        } finally {
            threads.shutdownNow();
        }
        assertEquals(0, events.troubles());
        assertEquals(0, events.badPages());
        assertEquals(0, openFiles());
    }

    private int readRandomly(BlockPool pool, int blocks, int times) throws IOException {
        ThreadLocalRandom random = ThreadLocalRandom.current();
        int right = 0;
        for (int i = 0; i < times; i++) {
            int number = random.nextInt(blocks);
            int at = random.nextInt(VALID - 100);
            byte[] data = new byte[1 + random.nextInt(100)];
            try (Block block = pool.acquire(id, number, VALID)) {
                assertEquals(data.length, block.read(at, data, 0, data.length));
            }
            long offset = (long) number * Layout.BLOCK_BYTES + at;
            assertArrayEquals(CacheWriter.content(id, offset, data.length), data);
            right++;
        }
        return right;
    }

    private void assertReads(Block block, int number) throws IOException {
        assertNotNull(block);
        byte[] data = new byte[VALID];
        assertEquals(VALID, block.read(0, data, 0, VALID));
        long offset = (long) number * Layout.BLOCK_BYTES;
        assertArrayEquals(CacheWriter.content(id, offset, VALID), data);
    }

    /** Descriptors of this process that lead below the test's directory. */
    private int openFiles() throws IOException {
        int count = 0;
        try (Stream<Path> descriptors = Files.list(Path.of("/proc/self/fd"))) {
            for (Path each : (Iterable<Path>) descriptors::iterator) {
                try {
                    String target = Files.readSymbolicLink(each).toString();
                    count += target.startsWith(temp + "/blocks") ? 1 : 0;
                } catch (IOException e) {
                    // closed since it was listed
                }
            }
        }
        return count;
    }

    static void await(Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
        while (!condition.call()) {
            assertTrue(System.nanoTime() < end, "did not come true within 20 s");
            Thread.sleep(5);
        }
    }

    private static void deleteTree(Path root) throws IOException {
        try (Stream<Path> all = Files.walk(root)) {
            for (Path each : (Iterable<Path>) all.sorted(Comparator.reverseOrder())::iterator) {
                Files.delete(each);
            }
        }
    }
}
