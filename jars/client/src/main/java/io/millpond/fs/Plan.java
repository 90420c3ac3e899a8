package io.millpond.fs;

import org.apache.hadoop.fs.FileStatus;

/** What a query plan knows of a file it is about to open. */
final class Plan {
    static final long UNKNOWN = -1;
    static final Plan NONE = new Plan(UNKNOWN, UNKNOWN, "", null);

    private final long length;
    private final long mtimeMs;
    private final String version;
    private final FileStatus told;

    /**
     * UNKNOWN for what the plan does not know.
     *
     * @param version empty where the plan does not name one
     * @param told what the engine's connector said when it was planned, or null
     */
    Plan(long length, long mtimeMs, String version, FileStatus told) {
        this.length = length;
        this.mtimeMs = mtimeMs;
        this.version = version;
        this.told = told;
    }

    /** Whether a version is the one that was planned on, as far as the plan can tell. */
    boolean matches(FileVersion file) {
        return (length < 0 || length == file.length())
                && (mtimeMs <= 0 || mtimeMs == file.mtimeMs());
    }

    /** As {@link #matches}, where a plan was made by the store's own connector. */
    boolean names(FileVersion file) {
        if (!version.isEmpty() && !file.version().isEmpty()) {
            return version.equals(file.version()) || version.equals(file.storeVersion());
        }
        return (length < 0 || length == file.length())
                && (mtimeMs <= 0 || file.store().sameTime(mtimeMs, file.mtimeMs()));
    }

    /** The row of the version that was planned on; null where the plan names no strong one. */
    StatusRow row(String path) {
        return version.isEmpty() || length < 0
                ? null
                : new StatusRow(path, false, length, mtimeMs, version, told);
    }

    @Override
    public String toString() {
        return "length " + length + ", modified " + mtimeMs;
    }
}
