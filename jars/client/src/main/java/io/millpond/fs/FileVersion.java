package io.millpond.fs;

import io.millpond.fs.local.FileId;
import io.millpond.fs.local.Meta;
import io.millpond.fs.rpc.Fallback;
import java.nio.ByteBuffer;
import org.apache.hadoop.fs.FileStatus;

/** One version of one file, as a stream reads it to its end. */
final class FileVersion {
    private final String path;
    private final DirectStore store;
    private final FileId id;
    private final String version;
    private final long length;
    private final long mtimeMs;
    private final ByteBuffer content;
    private final Fallback direct;
    private final FileStatus told;
    private final boolean remote;
    private final String storeVersion;
    private final long openedMs = System.currentTimeMillis();

    /**
     * @param id null where {@code direct} is not
     * @param content the whole file where it is in its meta, else null
     * @param direct why nothing but the store can be read; null: the cache can
     */
    private FileVersion(
            StatusRow row,
            DirectStore store,
            FileId id,
            ByteBuffer content,
            Fallback direct,
            boolean remote,
            String storeVersion) {
        this.path = row.path();
        this.store = store;
        this.id = id;
        this.version = row.version();
        this.length = row.length();
        this.mtimeMs = row.mtimeMs();
        this.content = content;
        this.direct = direct;
        this.told = row.told();
        this.remote = remote;
        this.storeVersion = storeVersion;
    }

    /** A version that blocks may hold; {@code content} where its meta has the whole of it. */
    static FileVersion cached(StatusRow row, DirectStore store, FileId id, ByteBuffer content) {
        return new FileVersion(row, store, id, content, null, false, "");
    }

    /** The version that a meta is of. */
    static FileVersion of(Meta meta, StatusRow row, DirectStore store) {
        return new FileVersion(
                row, store, meta.fileId(), meta.content(), null, false, meta.storeVersion());
    }

    /** A version that another node's sidecar may have; {@code id} is what it calls it. */
    static FileVersion remote(StatusRow row, DirectStore store, FileId id) {
        return new FileVersion(row, store, id, null, null, true, "");
    }

    /** A version that only the store has, as far as can be told. */
    static FileVersion direct(StatusRow row, DirectStore store, Fallback why) {
        return new FileVersion(row, store, null, null, why, false, "");
    }

    /** The same version, to be read from the store alone. */
    FileVersion directly(Fallback why) {
        return direct(new StatusRow(path, false, length, mtimeMs, version, told), store, why);
    }

    /** The same, as the store calls it. */
    FileVersion inStore(String storeVersion) {
        StatusRow row = new StatusRow(path, false, length, mtimeMs, storeVersion);
        return cached(row, store, id, null);
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

    /** Whether another node's sidecar is asked for it: there are no blocks here. */
    boolean remote() {
        return remote;
    }

    /** Whether it got its name here, and is called otherwise in the store, if it is there. */
    boolean born() {
        return Meta.isBorn(version);
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

    /** The store's name of a version that was {@link #born} here; empty where that is not known. */
    String storeVersion() {
        return storeVersion;
    }

    /** Shared by all streams over it: read it through a duplicate. */
    ByteBuffer content() {
        return content;
    }

    /** Why this version is read from the store alone; null where the cache may have it. */
    Fallback direct() {
        return direct;
    }

    /** What the engine's connector said of this version; null where it was not asked. */
    FileStatus told() {
        return told;
    }

    /** Whether it was modified so long before it was opened that its time is its own. */
    boolean settled() {
        return openedMs - mtimeMs > DirectStore.SETTLED_MS;
    }

    FileChangedException changed(String cause) {
        return new FileChangedException(
                "the file behind " + path + " is another than the one that was opened",
                cause,
                "Plan the query again, or read it once nobody replaces it");
    }
}
