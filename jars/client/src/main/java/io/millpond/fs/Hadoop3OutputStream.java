package io.millpond.fs;

import java.io.IOException;
import java.util.Locale;
import org.apache.hadoop.fs.Abortable;
import org.apache.hadoop.fs.StreamCapabilities;
import org.apache.hadoop.fs.Syncable;
import org.apache.hadoop.util.Progressable;

/** The stream with what Hadoop 3 added: it can be aborted, and says that it can't be synced. */
final class Hadoop3OutputStream extends CacheOutputStream
        implements Abortable, StreamCapabilities, Syncable {
    Hadoop3OutputStream(StagedWrite staged, String path, Progressable progress) {
        super(staged, path, progress);
    }

    @Override
    public boolean hasCapability(String capability) {
        return capability.toLowerCase(Locale.ENGLISH).equals(StreamCapabilities.ABORTABLE_STREAM);
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
