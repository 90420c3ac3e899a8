package io.millpond.fs;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.function.LongSupplier;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;

/**
 * What the store's own class said of files lately; thread-safe, at most {@link #SLOTS} of them.
 *
 * <p>Presto lists a table, opens its files by name alone, and looks for their footers by the
 * lengths that the listing told: bytes of another version would be no Parquet to it. So these are
 * the plan of an open that has no other, for as long as a mount believes what it knows unasked.
 */
final class LatelyTold {
    static final int SLOTS = 1 << 14;

    private final AtomicReferenceArray<Told> slots = new AtomicReferenceArray<>(SLOTS);
    private final LongSupplier clockNs;

    LatelyTold(LongSupplier clockNs) {
        this.clockNs = clockNs;
    }

    /** The store's class has just told this. */
    <T extends FileStatus> T note(T status) {
        if (status != null && !status.isDirectory()) {
            String path = path(status.getPath());
            Told told =
                    new Told(
                            path,
                            status.getLen(),
                            status.getModificationTime(),
                            clockNs.getAsLong());
            slots.set(slot(path), told);
        }
        return status;
    }

    /** The plan of an open by name alone. Times are compared where it is known how stores tell them. */
    Plan plan(Path path, DirectStore store) {
        String name = path(path);
        Told told = slots.get(slot(name));
        long bound = TimeUnit.MILLISECONDS.toNanos(store.mount().freshnessMs());
        if (told == null || !told.path.equals(name) || clockNs.getAsLong() - told.atNs > bound) {
            return Plan.NONE;
        }
        String scheme = store.mount().scheme();
        boolean timed = scheme.equals("s3a") || scheme.equals("hdfs");
        return new Plan(told.length, timed ? told.mtimeMs : Plan.UNKNOWN, "", null);
    }

    /** What was told of this path is no longer so. */
    void forget(Path path) {
        slots.set(slot(path(path)), null);
    }

    /** Nor is what was told of anything below it: so nothing is kept. */
    void clear() {
        for (int i = 0; i < SLOTS; i++) {
            slots.set(i, null);
        }
    }

    private static String path(Path path) {
        return path.toUri().getPath();
    }

    private static int slot(String path) {
        int hash = path.hashCode();
        return (hash ^ hash >>> 16) & SLOTS - 1;
    }

    private static final class Told {
        final String path;
        final long length;
        final long mtimeMs;
        final long atNs;

        Told(String path, long length, long mtimeMs, long atNs) {
            this.path = path;
            this.length = length;
            this.mtimeMs = mtimeMs;
            this.atNs = atNs;
        }
    }
}
