package io.millpond.fs;

/** What is known of one file or directory, before it becomes a Hadoop status. */
final class StatusRow {
    private final String path;
    private final boolean directory;
    private final long length;
    private final long mtimeMs;
    private final String version;

    /** {@code path} is in the namespace; {@code version} may be empty. */
    StatusRow(String path, boolean directory, long length, long mtimeMs, String version) {
        this.path = path;
        this.directory = directory;
        this.length = length;
        this.mtimeMs = mtimeMs;
        this.version = version;
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
}
