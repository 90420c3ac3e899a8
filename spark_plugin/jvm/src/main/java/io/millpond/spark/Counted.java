package io.millpond.spark;

import com.codahale.metrics.Counter;
import com.codahale.metrics.MetricRegistry;
import io.millpond.fs.ProcessCounters;
import java.util.Map;
import java.util.function.LongSupplier;

/** The client's counters of this process as metrics of Spark. */
final class Counted {
    private Counted() {}

    /** The counters now: JDK types alone, so that they can be sent whoever loaded which class. */
    static Map<String, Long> now() {
        return ProcessCounters.all();
    }

    /** Registers each counter under its own name. */
    static void register(MetricRegistry registry) {
        for (String name : now().keySet()) {
            registry.register(name, new View(() -> now().getOrDefault(name, 0L)));
        }
    }

    /** Registers the sums over executors, as {@code executors.<name>}. */
    static void register(MetricRegistry registry, Executors executors) {
        for (String name : now().keySet()) {
            registry.register("executors." + name, new View(() -> executors.sum(name)));
        }
    }

    /** A counter that is kept elsewhere: sinks show it as a counter, not as a gauge. */
    private static final class View extends Counter {
        private final LongSupplier value;

        View(LongSupplier value) {
            this.value = value;
        }

        @Override
        public long getCount() {
            return value.getAsLong();
        }
    }
}
