package io.millpond.fs;

import io.millpond.fs.local.FileId;
import java.nio.ByteBuffer;

/** One version of one file, as a stream reads it to its end. */
final class FileVersion {
    private final String path;
    private final DirectStore store;
    private final FileId id;
    private final String version;
    private final long length;
    private final long mtimeMs;
    private final ByteBuffer content;
    private final Ways ways;

    /** How the bytes of this version may be had, besides the store. */
    enum Ways {
        /** Local blocks, and the sidecar for what is absent. */
        CACHE,
        /** Nothing but the store: not to be cached, or of unknown version. */
        DIRECT
    }

    /**
     * @param id null where {@code ways} is DIRECT
     * @param content the whole file where it is in its meta, else null
     */
    FileVersion(StatusRow row, DirectStore store, FileId id, ByteBuffer content, Ways ways) {
        this.path = row.path();
        this.store = store;
        this.id = id;
        this.version = row.version();
        this.length = row.length();
        this.mtimeMs = row.mtimeMs();
        this.content = content;
        this.ways = ways;
    }

    String path() {
        return path;
    }

    DirectStore store() {
        return store;
    }

    FileId id() {
        return id;
    }

    /** What the store calls this content; empty where nobody knows. */
    String version() {
        return version;
    }

    long length() {
        return length;
    }

    long mtimeMs() {
        return mtimeMs;
    }

    /** Shared by all streams over it: read it through a duplicate. */
    ByteBuffer content() {
        return content;
    }

    boolean direct() {
        return ways == Ways.DIRECT;
    }

    FileChangedException changed(String cause) {
        return new FileChangedException(
                "the file behind " + path + " is another than the one that was opened",
                cause,
                "Plan the query again, or read it once nobody replaces it");
    }
}
