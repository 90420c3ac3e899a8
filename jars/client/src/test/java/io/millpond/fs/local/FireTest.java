package io.millpond.fs.local;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Readers against fills, evictions and refills of the same blocks: every byte is compared. */
@Timeout(90)
class FireTest {
    private static final int VALID = 12 * Layout.PAGE_BYTES + 333;
    private static final int BLOCKS = 3;
    private static final int READERS = 3;

    @TempDir Path temp;

    @Test
    void nothingIsEverWrong() throws Exception {
        FireReader reader = fire(false, 20_000);
        assertEquals(0, reader.wrong(), reader.json());
        assertEquals(0, reader.badPages(), reader.json());
        assertEquals(0, reader.troubles(), reader.json());
        assertTrue(reader.absent() > 100, reader.json());
    }

    /** With the bit first a reader meets pages that are not there: it must notice, each time. */
    @Test
    void theReversedOrderIsNoticed() throws Exception {
        FireReader reader = fire(true, 5_000);
        assertEquals(0, reader.wrong(), reader.json());
        assertTrue(reader.badPages() > 0, reader.json());
    }

    private FireReader fire(boolean reversed, long reads) throws Exception {
        CacheWriter writer = new CacheWriter(temp);
        List<FireReader.TestFile> files = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            long length = (BLOCKS - 1) * (long) Layout.BLOCK_BYTES + VALID;
            files.add(new FireReader.TestFile(writer.randomId(), length));
        }
        FireReader reader = new FireReader(temp, files);
        ExecutorService threads = Executors.newFixedThreadPool(READERS);
        try {
            List<Future<Void>> all = new ArrayList<>();
            long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
            AtomicBoolean stop = new AtomicBoolean();
            for (int i = 0; i < READERS; i++) {
                long seed = i;
                all.add(
                        threads.submit(
                                () -> {
                                    reader.read(seed, stop::get);
                                    return null;
                                }));
            }
            Random random = new Random(1);
            while (reader.right() < reads && System.nanoTime() < end) {
                step(writer, files, random, reversed);
            }
            stop.set(true);
            for (Future<Void> each : all) {
                each.get();
            }
            assertTrue(reader.right() >= reads, reader.json());
        } finally {
            threads.shutdownNow();
            reader.close();
        }
        return reader;
    }

    private static void step(
            CacheWriter writer, List<FireReader.TestFile> files, Random random, boolean reversed)
            throws IOException {
        FireReader.TestFile file = files.get(random.nextInt(files.size()));
        int block = random.nextInt(BLOCKS);
        Path name = writer.blockPath(file.id, block);
        if (Files.exists(name) && random.nextInt(12) == 0) {
            Files.delete(name);
            return;
        }
        int valid = Layout.blockValidBytes(file.length, block);
        if (!Files.exists(name)) {
            writer.createBlock(file.id, block, valid);
        }
        int first = random.nextInt(valid / Layout.PAGE_BYTES);
        if (reversed) {
            setBit(name, first);
        }
        writer.fill(file.id, block, first, first + 1);
    }

    private static void setBit(Path name, int page) throws IOException {
        try (RandomAccessFile out = new RandomAccessFile(name.toFile(), "rw")) {
            out.seek(64 + page / 8);
            int bits = out.read();
            out.seek(64 + page / 8);
            out.write(bits | 1 << page % 8);
        }
    }
}
