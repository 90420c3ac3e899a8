package io.millpond.spark;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** What the executors of one application have told of their counters, those that ended included. */
final class Executors {
    private final Map<String, Map<String, Long>> byExecutor = new ConcurrentHashMap<>();

    /** Takes the counters of one executor, which replace what it told before. */
    void told(String executor, Map<String, Long> counters) {
        byExecutor.put(executor, Map.copyOf(counters));
    }

    int count() {
        return byExecutor.size();
    }

    long sum(String name) {
        long sum = 0;
        for (Map<String, Long> each : byExecutor.values()) {
            sum += each.getOrDefault(name, 0L);
        }
        return sum;
    }
}
