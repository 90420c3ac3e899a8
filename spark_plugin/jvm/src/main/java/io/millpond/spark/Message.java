package io.millpond.spark;

import java.util.HashMap;
import java.util.Map;

/**
 * What an executor tells the driver: {@code {"executor": id, "counters": {…}}} in JDK types, which
 * any class loader at either end can read.
 */
final class Message {
    private static final String EXECUTOR = "executor";
    private static final String COUNTERS = "counters";

    private Message() {}

    static HashMap<String, Object> of(String executor, Map<String, Long> counters) {
        HashMap<String, Object> message = new HashMap<>();
        message.put(EXECUTOR, executor);
        message.put(COUNTERS, new HashMap<>(counters));
        return message;
    }

    /** Hands over what a message says; one of another release that says something else is left. */
    static void read(Object message, Executors executors) {
        if (!(message instanceof Map)) {
            return;
        }
        Object executor = ((Map<?, ?>) message).get(EXECUTOR);
        Object counters = ((Map<?, ?>) message).get(COUNTERS);
        if (!(executor instanceof String) || !(counters instanceof Map)) {
            return;
        }
        Map<String, Long> read = new HashMap<>();
        for (Map.Entry<?, ?> each : ((Map<?, ?>) counters).entrySet()) {
            if (each.getKey() instanceof String && each.getValue() instanceof Long) {
                read.put((String) each.getKey(), (Long) each.getValue());
            }
        }
        executors.told((String) executor, read);
    }
}
