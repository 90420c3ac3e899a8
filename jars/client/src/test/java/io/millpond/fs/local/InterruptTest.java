package io.millpond.fs.local;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** An interrupt closes a channel for all who share it: only the interrupted may notice. */
@Timeout(60)
class InterruptTest {
    private static final int VALID = 40 * Layout.PAGE_BYTES;
    private static final int STORM = 1000;

    @TempDir Path temp;
    private CacheWriter writer;
    private FileId id;
    private Recorder events;

    @BeforeEach
    void prepare() throws IOException {
        writer = new CacheWriter(temp);
        id = writer.randomId();
        events = new Recorder();
        writer.block(id, 0, VALID);
    }

    @Test
    void anInterruptedReaderLeavesAndStaysInterrupted() throws IOException {
        try (BlockPool pool = new BlockPool(temp, events, 8, BlockPool.IDLE_NS);
                Block block = pool.acquire(id, 0, VALID)) {
            Thread.currentThread().interrupt();
            assertThrows(InterruptedIOException.class, () -> block.read(0, new byte[9], 0, 9));
            assertTrue(Thread.currentThread().isInterrupted());
            assertThrows(InterruptedIOException.class, block::refresh);
            assertTrue(Thread.interrupted());
            assertEquals(9, block.read(0, new byte[9], 0, 9));
        }
    }

    /** Victims are interrupted all the time, holding the same block as the others and their own. */
    @Test
    void othersReadOnThroughAStormOfInterrupts() throws Exception {
        try (BlockPool pool = new BlockPool(temp, events, 8, BlockPool.IDLE_NS);
                Block shared = pool.acquire(id, 0, VALID)) {
            AtomicBoolean stop = new AtomicBoolean();
            AtomicReference<Throwable> failure = new AtomicReference<>();
            AtomicLong reads = new AtomicLong();
            AtomicLong interrupted = new AtomicLong();
            List<Thread> victims = new ArrayList<>();
            List<Thread> others = new ArrayList<>();
            for (int i = 0; i < 3; i++) {
                int seed = i;
                victims.add(
                        started(failure, () -> victim(pool, shared, seed, stop, interrupted)));
                others.add(started(failure, () -> other(pool, shared, seed, stop, reads)));
            }
            Random random = new Random(3);
            while (interrupted.get() < STORM && failure.get() == null) {
                victims.get(random.nextInt(victims.size())).interrupt();
                Thread.onSpinWait();
            }
            stop.set(true);
            for (Thread each : victims) {
                each.join();
            }
            for (Thread each : others) {
                each.join();
            }
            assertNull(failure.get(), () -> String.valueOf(failure.get()));
            assertTrue(reads.get() > STORM / 10, "reads by others: " + reads);
            assertEquals(0, events.badPages());
            assertEquals(0, events.troubles());
            check(shared, 5, 100_000, 0);
        }
    }

    /** After the channel was closed under it, a reader whose block was evicted finds it absent. */
    @Test
    void aBlockEvictedMeanwhileIsAbsentOrTheNewInode() throws Exception {
        try (BlockPool pool = new BlockPool(temp, events, 8, BlockPool.IDLE_NS);
                Block block = pool.acquire(id, 0, VALID);
                Block same = pool.acquire(id, 0, VALID)) {
            long before = block.generation();
            Files.delete(writer.blockPath(id, 0));
            closeByInterrupt(same);
            assertEquals(0, block.read(0, new byte[9], 0, 9));
            writer.block(id, 0, VALID);
            check(block, 0, VALID, 1);
            assertTrue(block.generation() != before);
        }
    }

    /** The flag is looked at before a read, so only an interrupt within one closes the channel. */
    private static void closeByInterrupt(Block block) throws InterruptedException {
        AtomicBoolean done = new AtomicBoolean();
        while (!done.get()) {
            Thread reader =
                    new Thread(
                            () -> {
                                byte[] data = new byte[VALID];
                                try {
                                    while (block.read(0, data, 0, VALID) == VALID) {
                                        Thread.onSpinWait();
                                    }
                                    done.set(true); // closed, and absent when opened again
                                } catch (IOException e) {
                                    done.set(e.getCause() != null);
                                }
                            });
            reader.start();
            Thread.sleep(2);
            reader.interrupt();
            reader.join();
        }
    }

    private static Thread started(AtomicReference<Throwable> failure, Body body) {
        Thread thread =
                new Thread(
                        () -> {
                            try {
                                body.run();
                            } catch (Throwable e) {
                                failure.compareAndSet(null, e);
                            }
                        });
        thread.start();
        return thread;
    }

    private interface Body {
        void run() throws Exception;
    }

    private void victim(
            BlockPool pool, Block shared, int seed, AtomicBoolean stop, AtomicLong interrupted)
            throws IOException {
        Random random = new Random(seed);
        while (!stop.get()) {
            try {
                check(shared, random.nextInt(VALID - 70_000), 70_000, random.nextInt(3));
                try (Block own = pool.acquire(id, 0, VALID)) {
                    check(own, random.nextInt(VALID - 9000), 9000, random.nextInt(3));
                }
            } catch (InterruptedIOException e) {
                interrupted.incrementAndGet();
                Thread.interrupted();
            }
        }
        Thread.interrupted();
    }

    private void other(
            BlockPool pool, Block shared, int seed, AtomicBoolean stop, AtomicLong reads)
            throws IOException {
        Random random = new Random(100 + seed);
        while (!stop.get()) {
            check(shared, random.nextInt(VALID - 200_000), 200_000, random.nextInt(3));
            try (Block own = pool.acquire(id, 0, VALID)) {
                check(own, random.nextInt(VALID - 8192), 8192, random.nextInt(3));
            }
            reads.incrementAndGet();
        }
    }

    private void check(Block block, int at, int count, int way) throws IOException {
        byte[] data = new byte[count];
        int read;
        if (way == 0) {
            read = block.read(at, data, 0, count);
        } else {
            ByteBuffer target =
                    way == 1 ? ByteBuffer.wrap(data) : ByteBuffer.allocateDirect(count);
            read = block.read(at, target);
            assertEquals(read, target.position());
            if (way == 2) {
                target.flip();
                target.get(data, 0, read);
            }
        }
        assertEquals(count, read);
        assertArrayEquals(CacheWriter.content(id, at, count), data);
    }
}
