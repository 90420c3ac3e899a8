package io.millpond.fs;

import org.apache.hadoop.fs.FileStatus;

/** What is known of one file or directory, before it becomes a Hadoop status. */
final class StatusRow {
    private final String path;
    private final boolean directory;
    private final long length;
    private final long mtimeMs;
    private final String version;
    private final FileStatus told;

    /** {@code path} is in the namespace; {@code version} may be empty. */
    StatusRow(String path, boolean directory, long length, long mtimeMs, String version) {
        this(path, directory, length, mtimeMs, version, null);
    }

    /** As the other; {@code told} is what the engine's connector said, or null. */
    StatusRow(
            String path,
            boolean directory,
            long length,
            long mtimeMs,
            String version,
            FileStatus told) {
        this.path = path;
        this.directory = directory;
        this.length = length;
        this.mtimeMs = mtimeMs;
        this.version = version;
        this.told = told;
    }

    static StatusRow directory(String path, long mtimeMs) {
        return new StatusRow(path, true, 0, mtimeMs, "");
    }

    String path() {
        return path;
    }

    boolean directory() {
        return directory;
    }

    long length() {
        return length;
    }

    long mtimeMs() {
        return mtimeMs;
    }

    String version() {
        return version;
    }

    /** What the engine's connector said; null where it was not asked. */
    FileStatus told() {
        return told;
    }
}
