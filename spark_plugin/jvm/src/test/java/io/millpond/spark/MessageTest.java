package io.millpond.spark;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;

/** What executors tell the driver, and what the driver makes of it. */
class MessageTest {
    private final Executors executors = new Executors();

    @Test
    void countersOfAllExecutorsAreAdded() {
        Message.read(Message.of("0", Map.of("hit_bytes", 5L, "opens", 1L)), executors);
        Message.read(Message.of("1", Map.of("hit_bytes", 7L)), executors);
        assertEquals(12, executors.sum("hit_bytes"));
        assertEquals(1, executors.sum("opens"));
        assertEquals(0, executors.sum("absent"));
        assertEquals(2, executors.count());
    }

    @Test
    void theLastWordOfAnExecutorCounts() {
        Message.read(Message.of("0", Map.of("hit_bytes", 5L)), executors);
        Message.read(Message.of("0", Map.of("hit_bytes", 9L)), executors);
        assertEquals(9, executors.sum("hit_bytes"));
        assertEquals(1, executors.count());
    }

    @Test
    void whatIsNoMessageIsLeft() {
        for (Object odd :
                Arrays.asList(
                        null,
                        "text",
                        Map.of(),
                        Map.of("executor", 1, "counters", Map.of()),
                        Map.of("executor", "0", "counters", List.of()))) {
            Message.read(odd, executors);
        }
        assertEquals(0, executors.count());
        Message.read(
                Map.of("executor", "0", "counters", Map.of("a", 1, 2, 3L, "b", 4L)), executors);
        assertEquals(0, executors.sum("a"));
        assertEquals(4, executors.sum("b"));
    }
}
