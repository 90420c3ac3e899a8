package io.millpond.fs.local;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.BooleanSupplier;

/**
 * Reads random ranges of test files from a cache directory while others fill and evict, and
 * compares every byte with {@link CacheWriter#contentAt}. As a program: {@code FireReader <dir>
 * <seconds> <threads> <list>}, where each line of the list is {@code <file id, hex> <length>}; it
 * prints one line of JSON.
 */
public final class FireReader implements LocalEvents {
    /** The content repeats with 16 * 251 bytes, so one array answers for every offset. */
    private static final int PERIOD = 16 * 251;

    private static final int LONGEST_READ = 3 * Layout.PAGE_BYTES;
    private static final int HELD = 6;

    private final BlockPool pool;
    private final List<TestFile> files;
    private final AtomicLong right = new AtomicLong();
    private final AtomicLong pages = new AtomicLong();
    private final AtomicLong absent = new AtomicLong();
    private final AtomicLong wrong = new AtomicLong();
    private final AtomicLong badPages = new AtomicLong();
    private final AtomicLong troubles = new AtomicLong();

    /** Few descriptors, so that blocks are opened all the time. */
    FireReader(Path dir, List<TestFile> files) {
        this.files = files;
        this.pool = new BlockPool(dir, this, 16, TimeUnit.SECONDS.toNanos(1));
    }

    /** One file of known content. */
    static final class TestFile {
        final FileId id;
        final long length;
        final byte[] pattern;

        TestFile(FileId id, long length) {
            this.id = id;
            this.length = length;
            this.pattern = CacheWriter.content(id, 0, LONGEST_READ + 2 * PERIOD);
        }

        boolean equal(long offset, byte[] data, int count) {
            int from = (int) (offset % PERIOD);
            return Arrays.equals(data, 0, count, pattern, from, from + count);
        }
    }

    @Override
    public void badPage(FileId file, int block, int page, long generation) {
        badPages.incrementAndGet();
    }

    @Override
    public void trouble(Trouble reason, Throwable error) {
        troubles.incrementAndGet();
    }

    long right() {
        return right.get();
    }

    long absent() {
        return absent.get();
    }

    long wrong() {
        return wrong.get();
    }

    long badPages() {
        return badPages.get();
    }

    long troubles() {
        return troubles.get();
    }

    /** Reads until told to stop; each thread also holds on to some blocks that may be evicted. */
    void read(long seed, BooleanSupplier stop) throws IOException {
        SplittableRandom random = new SplittableRandom(seed);
        Block[] held = new Block[HELD];
        TestFile[] heldFiles = new TestFile[HELD];
        int[] heldNumbers = new int[HELD];
        byte[] data = new byte[LONGEST_READ];
        try {
            while (!stop.getAsBoolean()) {
                int slot = random.nextInt(HELD);
                if (held[slot] == null || random.nextInt(40) == 0) {
                    close(held[slot]);
                    TestFile file = files.get(random.nextInt(files.size()));
                    int number = (int) (random.nextLong(file.length) / Layout.BLOCK_BYTES);
                    int valid = Layout.blockValidBytes(file.length, number);
                    held[slot] = pool.acquire(file.id, number, valid);
                    heldFiles[slot] = file;
                    heldNumbers[slot] = number;
                    if (held[slot] == null) {
                        absent.incrementAndGet();
                    }
                } else {
                    check(held[slot], heldFiles[slot], heldNumbers[slot], random, data);
                }
            }
        } finally {
            for (Block each : held) {
                close(each);
            }
        }
    }

    private void check(
            Block block, TestFile file, int number, SplittableRandom random, byte[] data)
            throws IOException {
        int at = random.nextInt(block.validBytes());
        int want = 1 + random.nextInt(random.nextBoolean() ? 9000 : LONGEST_READ);
        int count = block.read(at, data, 0, want);
        if (count == 0) {
            absent.incrementAndGet();
            if (random.nextInt(8) == 0 && !block.linked()) {
                block.retire();
            }
        } else if (file.equal((long) number * Layout.BLOCK_BYTES + at, data, count)) {
            right.incrementAndGet();
            int last = at + count - 1 >>> Layout.PAGE_SHIFT;
            pages.addAndGet(1 + last - (at >>> Layout.PAGE_SHIFT));
        } else {
            wrong.incrementAndGet();
        }
    }

    private static void close(Block block) {
        if (block != null) {
            block.close();
        }
    }

    void close() {
        pool.close();
    }

    String json() {
        return String.format(
                "{\"right\": %d, \"pages\": %d, \"absent\": %d, \"wrong\": %d, \"bad_pages\": %d,"
                        + " \"troubles\": %d}",
                right(), pages.get(), absent(), wrong(), badPages(), troubles());
    }

    public static void main(String[] args) throws Exception {
        List<TestFile> files = new ArrayList<>();
        for (String line : Files.readAllLines(Paths.get(args[3]))) {
            String[] parts = line.trim().split("\\s+");
            files.add(new TestFile(CacheWriter.id(parts[0]), Long.parseLong(parts[1])));
        }
        FireReader reader = new FireReader(Paths.get(args[0]), files);
        long end = System.nanoTime() + (long) (Double.parseDouble(args[1]) * 1e9);
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < Integer.parseInt(args[2]); i++) {
            long seed = i;
            Thread thread =
                    new Thread(
                            () -> {
                                try {
                                    reader.read(seed, () -> System.nanoTime() - end > 0);
                                } catch (IOException e) {
                                    throw new UncheckedIOException(e);
                                }
                            });
            thread.setUncaughtExceptionHandler(
                    (t, e) -> {
                        e.printStackTrace();
                        System.exit(2);
                    });
            thread.start();
            threads.add(thread);
        }
        for (Thread each : threads) {
            each.join();
        }
        reader.close();
        System.out.println(reader.json());
    }
}
