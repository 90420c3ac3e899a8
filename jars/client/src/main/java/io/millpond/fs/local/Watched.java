package io.millpond.fs.local;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Objects;

/** A small file that is parsed again when it was replaced; looks at most each interval. */
final class Watched<T> {
    private final File file;
    private final RecordFile.Parser<T> parser;
    private final LocalEvents events;
    private final long intervalNs;
    private volatile Seen<T> seen;

    /** {@code none} is the value until the file was there and good. */
    Watched(
            File file,
            T none,
            RecordFile.Parser<T> parser,
            LocalEvents events,
            long intervalNs,
            long nowNs) {
        this.file = file;
        this.parser = parser;
        this.events = events;
        this.intervalNs = intervalNs;
        this.seen = new Seen<>(none, null, nowNs - intervalNs);
    }

    private static final class Seen<T> {
        final T value;
        final Object stamp;
        final long atNs;

        Seen(T value, Object stamp, long atNs) {
            this.value = value;
            this.stamp = stamp;
            this.atNs = atNs;
        }
    }

    /** The value of the file as it was within the interval; the last good one where it is gone. */
    T get(long nowNs) {
        Seen<T> last = seen;
        return nowNs - last.atNs < intervalNs ? last.value : look(nowNs, last);
    }

    /** Looks now, whenever it was looked at last. */
    T now(long nowNs) {
        return look(nowNs, seen);
    }

    private synchronized T look(long nowNs, Seen<T> before) {
        Seen<T> last = seen;
        if (last != before) {
            return last.value; // another thread just looked
        }
        Object stamp = stamp();
        if (stamp == null || stamp.equals(last.stamp)) {
            seen = new Seen<>(last.value, last.stamp, nowNs);
            return last.value;
        }
        RecordFile.Outcome<T> read = RecordFile.read(file, parser, events);
        seen = read.value == null
                ? new Seen<>(last.value, last.stamp, nowNs)
                : new Seen<>(read.value, stamp, nowNs);
        return seen.value;
    }

    /** Taken before the file is read: a change in between is seen at the next look. */
    private Object stamp() {
        try {
            BasicFileAttributes a =
                    Files.readAttributes(file.toPath(), BasicFileAttributes.class);
            return Objects.toString(a.fileKey()) + ' ' + a.lastModifiedTime() + ' ' + a.size();
        } catch (IOException e) {
            return null;
        }
    }
}
