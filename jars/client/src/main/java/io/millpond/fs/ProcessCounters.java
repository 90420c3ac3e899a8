package io.millpond.fs;

import io.millpond.fs.rpc.Counters;
import io.millpond.fs.rpc.Fallback;
import java.util.Map;
import java.util.TreeMap;

/**
 * What this process has read through {@code cache://} and from where, over all cache directories it
 * uses: for metrics systems. Monotonic, thread-safe, without a call to anyone.
 */
public final class ProcessCounters {
    private ProcessCounters() {}

    /**
     * Every counter by name, in name order, zeros included: {@code hit_bytes}, {@code filled_bytes},
     * …, {@code fallback_<reason>}.
     */
    public static Map<String, Long> all() {
        Map<String, Long> all = new TreeMap<>();
        for (Counters.Name name : Counters.Name.values()) {
            all.put(name.label(), 0L);
        }
        for (Fallback reason : Fallback.values()) {
            all.put("fallback_" + reason.label(), 0L);
        }
        for (Client client : Client.all()) {
            client.counters().all().forEach((name, value) -> all.merge(name, value, Long::sum));
        }
        return all;
    }
}
