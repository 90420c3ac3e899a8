package io.millpond.fs.rpc;

import java.util.EnumMap;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.LongAccumulator;
import java.util.concurrent.atomic.LongAdder;

/** What this process read, and from where; thread-safe, monotonic. */
public final class Counters {
    /** Names of counters, as they stand in reports and statistics. */
    public enum Name {
        /** Bytes read from local blocks or from meta. */
        HIT_BYTES("hit_bytes"),
        HIT_READS("hit_reads"),
        /** Bytes read from local blocks after a Fill put them there. */
        FILLED_BYTES("filled_bytes"),
        /** Bytes taken from the replies of fills. */
        INLINE_BYTES("inline_bytes"),
        /** Bytes that another node's sidecar sent. */
        REMOTE_BYTES("remote_bytes"),
        DIRECT_BYTES("direct_bytes"),
        DIRECT_READS("direct_reads"),
        /** Calls of each verb. */
        FILLS("fills"),
        STATS("stats"),
        LISTS("lists"),
        HELLOS("hellos"),
        INVALIDATIONS("invalidations"),
        /** Files opened, and those of them that asked nobody. */
        OPENS("opens"),
        OPENS_LOCAL("opens_local"),
        BAD_PAGES("bad_pages"),
        /** Files committed through the sidecar, and their bytes. */
        WRITES("writes"),
        WRITTEN_BYTES("written_bytes"),
        /** Files written by the store's own connector. */
        DIRECT_WRITES("direct_writes"),
        /** Renames, deletions, directories made, times set. */
        CHANGES("changes"),
        /** Calls that a write makes before its commit. */
        BEGINS("begins");

        private final String label;

        Name(String label) {
            this.label = label;
        }

        public String label() {
            return label;
        }
    }

    private final Map<Name, LongAdder> sums = new EnumMap<>(Name.class);
    private final Map<Fallback, LongAdder> fallbacks = new EnumMap<>(Fallback.class);

    /** Most rounds of Fill that one read waited for; no sum, so it is not among the others. */
    private final LongAccumulator roundsMax = new LongAccumulator(Long::max, 0);

    public Counters() {
        for (Name name : Name.values()) {
            sums.put(name, new LongAdder());
        }
        for (Fallback reason : Fallback.values()) {
            fallbacks.put(reason, new LongAdder());
        }
    }

    /** The adder behind a name, for hot paths to hold on to. */
    public LongAdder adder(Name name) {
        return sums.get(name);
    }

    /** A read waits for its {@code round}th Fill, counted from 1. */
    public void round(int round) {
        roundsMax.accumulate(round);
    }

    public long roundsMax() {
        return roundsMax.get();
    }

    public void add(Name name, long value) {
        sums.get(name).add(value);
    }

    public long get(Name name) {
        return sums.get(name).sum();
    }

    public long get(Fallback reason) {
        return fallbacks.get(reason).sum();
    }

    /** Counts one fall back; true for the first of its reason. */
    public boolean count(Fallback reason) {
        LongAdder adder = fallbacks.get(reason);
        boolean first = adder.sum() == 0;
        adder.increment();
        return first;
    }

    /** All counters by name, in name order; {@code fallback_…} only where they are not zero. */
    public Map<String, Long> all() {
        Map<String, Long> all = new TreeMap<>();
        sums.forEach((name, adder) -> all.put(name.label(), adder.sum()));
        fallbacks.forEach(
                (reason, adder) -> {
                    if (adder.sum() > 0) {
                        all.put("fallback_" + reason.label(), adder.sum());
                    }
                });
        return all;
    }
}
