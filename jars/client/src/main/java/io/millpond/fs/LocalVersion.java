package io.millpond.fs;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.attribute.FileTime;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.fs.FileStatus;

/** The version of a local file: {@code dev:inode:size:mtime_ns:ctime_ns}. */
final class LocalVersion {
    private static final int MTIME = 3;
    private static final int PARTS = 5;
    private static final String ATTRIBUTES = "unix:dev,ino,size,lastModifiedTime,ctime";

    private LocalVersion() {}

    static String of(FileStatus status) {
        return of(Paths.get(status.getPath().toUri().getPath()));
    }

    /** The version of the file at {@code path} now; "" where it can't be told. */
    static String of(Path path) {
        try {
            Map<String, Object> unix = Files.readAttributes(path, ATTRIBUTES);
            return unix.get("dev")
                    + ":"
                    + unix.get("ino")
                    + ":"
                    + unix.get("size")
                    + ":"
                    + ns(unix.get("lastModifiedTime"))
                    + ":"
                    + ns(unix.get("ctime"));
        } catch (IOException | RuntimeException e) {
            return "";
        }
    }

    /**
     * Whether two versions name the same content. {@code ours} was made here; before Java 14 its
     * times end at the microsecond, and then only that much is compared.
     */
    static boolean same(String ours, String theirs) {
        if (ours.equals(theirs)) {
            return true;
        }
        String[] a = ours.split(":");
        String[] b = theirs.split(":");
        if (a.length != PARTS || b.length != PARTS) {
            return false;
        }
        for (int i = 0; i < PARTS; i++) {
            boolean equal = i < MTIME ? a[i].equals(b[i]) : sameTime(a[i], b[i]);
            if (!equal) {
                return false;
            }
        }
        return true;
    }

    private static boolean sameTime(String ours, String theirs) {
        try {
            long a = Long.parseLong(ours);
            long b = Long.parseLong(theirs);
            return a == b || Runtime.version().feature() < 14 && a % 1000 == 0 && a == b - b % 1000;
        } catch (NumberFormatException e) {
            return false;
        }
    }

    private static long ns(Object time) {
        return ((FileTime) time).to(TimeUnit.NANOSECONDS);
    }
}
