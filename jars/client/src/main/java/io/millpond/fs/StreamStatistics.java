package io.millpond.fs;

import java.util.Collections;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.atomic.LongAdder;
import org.apache.hadoop.fs.statistics.IOStatistics;
import org.apache.hadoop.fs.statistics.MeanStatistic;
import org.apache.hadoop.fs.statistics.StreamStatisticNames;

/** What one stream read or wrote, under Hadoop's names. */
final class StreamStatistics implements IOStatistics {
    private final LongAdder bytes = new LongAdder();
    private final LongAdder written = new LongAdder();
    private final LongAdder reads = new LongAdder();
    private final LongAdder vectored = new LongAdder();
    private final LongAdder ranges = new LongAdder();

    void read(int count) {
        bytes.add(count);
        reads.increment();
    }

    void wrote(int count) {
        written.add(count);
    }

    void vectored(int count) {
        vectored.increment();
        ranges.add(count);
    }

    @Override
    public Map<String, Long> counters() {
        Map<String, Long> all = new HashMap<>();
        all.put(StreamStatisticNames.STREAM_WRITE_BYTES, written.sum());
        all.put(StreamStatisticNames.STREAM_READ_BYTES, bytes.sum());
        all.put(StreamStatisticNames.STREAM_READ_OPERATIONS, reads.sum());
        all.put(StreamStatisticNames.STREAM_READ_VECTORED_OPERATIONS, vectored.sum());
        all.put(StreamStatisticNames.STREAM_READ_VECTORED_INCOMING_RANGES, ranges.sum());
        return all;
    }

    @Override
    public Map<String, Long> gauges() {
        return Collections.emptyMap();
    }

    @Override
    public Map<String, Long> minimums() {
        return Collections.emptyMap();
    }

    @Override
    public Map<String, Long> maximums() {
        return Collections.emptyMap();
    }

    @Override
    public Map<String, MeanStatistic> meanStatistics() {
        return Collections.emptyMap();
    }
}
