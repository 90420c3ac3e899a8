package io.millpond.fs;

import java.io.IOException;
import java.util.Locale;
import org.apache.hadoop.fs.Abortable;
import org.apache.hadoop.fs.StreamCapabilities;
import org.apache.hadoop.fs.Syncable;
import org.apache.hadoop.fs.statistics.IOStatistics;
import org.apache.hadoop.fs.statistics.IOStatisticsSource;
import org.apache.hadoop.util.Progressable;

/** The stream with what Hadoop 3 added: it can be aborted, and says that it can't be synced. */
final class Hadoop3OutputStream extends CacheOutputStream
        implements Abortable, IOStatisticsSource, StreamCapabilities, Syncable {
    private final StreamStatistics statistics = new StreamStatistics();

    Hadoop3OutputStream(StagedWrite staged, String path, Progressable progress) {
        super(staged, path, progress);
    }

    @Override
    public void write(byte[] data, int from, int count) throws IOException {
        super.write(data, from, count);
        statistics.wrote(count);
    }

    @Override
    public IOStatistics getIOStatistics() {
        return statistics;
    }

    @Override
    public boolean hasCapability(String capability) {
        switch (capability.toLowerCase(Locale.ENGLISH)) {
            case StreamCapabilities.ABORTABLE_STREAM:
            case StreamCapabilities.IOSTATISTICS:
                return true;
            default:
                return false;
        }
    }

    @Override
    public AbortableResult abort() {
        boolean open = giveUp();
        return new AbortableResult() {
            @Override
            public boolean alreadyClosed() {
                return !open;
            }

            @Override
            public IOException anyCleanupException() {
                return null;
            }
        };
    }

    @Override
    public void hflush() {
        throw refused("hflush");
    }

    @Override
    public void hsync() {
        throw refused("hsync");
    }

    private NotSupportedException refused(String verb) {
        return new NotSupportedException(
                path() + " can't " + verb,
                "what is written to cache:// is visible and durable when it is closed",
                "Ask hasCapability first, or write to the store's own URI");
    }
}
