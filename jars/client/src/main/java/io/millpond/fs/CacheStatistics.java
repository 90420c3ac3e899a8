package io.millpond.fs;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.fs.StorageStatistics;

/** The process's counters as Hadoop's storage statistics; loaded only on Hadoop 3. */
final class CacheStatistics extends StorageStatistics {
    private final CacheFileSystem system;

    CacheStatistics(CacheFileSystem system) {
        super(CacheFileSystem.SCHEME);
        this.system = system;
    }

    @Override
    public String getScheme() {
        return CacheFileSystem.SCHEME;
    }

    @Override
    public Iterator<LongStatistic> getLongStatistics() {
        List<LongStatistic> all = new ArrayList<>();
        values().forEach((name, value) -> all.add(new LongStatistic(name, value)));
        return all.iterator();
    }

    @Override
    public Long getLong(String key) {
        return values().get(key);
    }

    @Override
    public boolean isTracked(String key) {
        return values().containsKey(key);
    }

    /** Nothing: the counters belong to the process and feed its reports. */
    @Override
    public void reset() {}

    private Map<String, Long> values() {
        Map<String, Long> all = system.counters();
        long ready = 0;
        long impossible = 0;
        for (String state : system.fallback().values()) {
            ready += state.endsWith("ready") ? 1 : 0;
            impossible += state.contains("impossible") ? 1 : 0;
        }
        all.put("decide_ms_max", system.decideMs());
        all.put("fill_rounds_max", system.fillRounds());
        all.put("fallback_ready_mounts", ready);
        all.put("fallback_impossible_mounts", impossible);
        return all;
    }
}
