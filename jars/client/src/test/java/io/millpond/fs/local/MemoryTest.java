package io.millpond.fs.local;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;
import java.util.Random;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Parsed records in memory: bounded, and never older than their slot. */
class MemoryTest {
    private static final int MAX = 100_000;

    @TempDir Path temp;
    private CacheWriter writer;
    private Epochs epochs;

    @BeforeEach
    void prepare() throws IOException {
        writer = new CacheWriter(temp);
        writer.epochs(5);
        epochs = Epochs.map(temp.resolve("epochs"));
    }

    /** Values are strings; one that begins with "heavy" can be stripped to "light…". */
    private static Memory<String> memory() {
        return new Memory<>(
                MAX,
                value -> value.startsWith("heavy") ? 5000 : 500,
                value -> value.startsWith("heavy") ? "light" + value.substring(5) : value);
    }

    /** Random puts, changes and looks against a map of what is true now. */
    @Test
    void whatIsRememberedIsTrue() throws IOException {
        Memory<String> memory = memory();
        Map<String, String> truth = new HashMap<>();
        Random random = new Random(2);
        int known = 0;
        for (int step = 0; step < 60_000; step++) {
            String path = "p" + random.nextInt(400);
            byte[] digest = Names.pathHash(path);
            int slot = Names.epochSlot(digest);
            if (random.nextInt(20) == 0) {
                truth.put(path, (random.nextBoolean() ? "heavy" : "small") + step);
                writer.bump(digest);
            }
            Memory.Entry<String> entry = memory.get(path, epochs);
            String now = truth.get(path);
            if (entry == null) {
                memory.put(path, epochs, slot, epochs.counter(slot), now);
            } else {
                known++;
                String stripped = now == null ? null : now.replace("heavy", "light");
                assertTrue(
                        now == null ? entry.value == null
                                : entry.value.equals(now) || entry.value.equals(stripped),
                        () -> entry.value + " for " + now);
            }
            assertTrue(memory.weightBytes() <= MAX, "weight " + memory.weightBytes());
        }
        assertTrue(known > 5_000, "known " + known);
    }

    @Test
    void contentGoesBeforeTheRestAndTheUsedStay() {
        Memory<String> memory = memory();
        for (int i = 0; i < 18; i++) {
            memory.put("h" + i, epochs, 1, epochs.counter(1), "heavy" + i);
        }
        assertEquals("heavy0", memory.get("h0", epochs).value);
        for (int i = 0; i < 4; i++) {
            memory.put("n" + i, epochs, 1, epochs.counter(1), "heavy" + i);
        }
        assertEquals("heavy0", memory.get("h0", epochs).value);
        assertEquals("light1", memory.get("h1", epochs).value);
    }

    @Test
    void ofOtherEpochsNothingIsKnown() throws IOException {
        Memory<String> memory = memory();
        memory.put("p", epochs, 1, epochs.counter(1), "small");
        assertNotNull(memory.get("p", epochs));
        assertNull(memory.get("p", null));
        assertNull(memory.get("p", Epochs.map(temp.resolve("epochs"))));
    }

    /** Replacing the same record for ever leaves nothing behind. */
    @Test
    void replacedRecordsDoNotPileUp() {
        Memory<String> memory = memory();
        for (int i = 0; i < 100_000; i++) {
            memory.put("p", epochs, 1, i, "small");
        }
        assertTrue(memory.queued() < 1000, "queued " + memory.queued());
        assertEquals(502, memory.weightBytes());
    }
}
