package io.millpond.fs;

/** What a query plan knows of a file it is about to open. */
final class Plan {
    static final long UNKNOWN = -1;
    static final Plan NONE = new Plan(UNKNOWN, UNKNOWN);

    private final long length;
    private final long mtimeMs;

    /** UNKNOWN for what the plan does not know. */
    Plan(long length, long mtimeMs) {
        this.length = length;
        this.mtimeMs = mtimeMs;
    }

    /** Whether a version is the one that was planned on, as far as the plan can tell. */
    boolean matches(FileVersion file) {
        return (length < 0 || length == file.length())
                && (mtimeMs <= 0 || mtimeMs == file.mtimeMs());
    }

    @Override
    public String toString() {
        return "length " + length + ", modified " + mtimeMs;
    }
}
