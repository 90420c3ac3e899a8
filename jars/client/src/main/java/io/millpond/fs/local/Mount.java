package io.millpond.fs.local;

import io.millpond.fs.wire.Wire;
import java.util.List;
import java.util.Map;

/** A path of the namespace bound to a place in a store, as clients know it: no secret in it. */
public final class Mount {
    /** Where a mount does not say. */
    static final List<String> COMMIT_FILES =
            List.of(
                    "**/metadata/v*.metadata.json",
                    "**/metadata/v*.metadata.json.gz",
                    "**/metadata/?????-*-*-*-*-*.metadata.json",
                    "**/metadata/version-hint.text",
                    "**/_delta_log/*.json",
                    "**/_delta_log/*.checkpoint*",
                    "**/_delta_log/_last_checkpoint");

    private final Wire.Mount wire;
    private final String storeBase;
    private final String scheme;
    private final String uriBase;
    private final Globs immutable;
    private final Globs commitFiles;
    private final Globs kept;

    Mount(Wire.Mount wire) {
        this.wire = wire;
        String uri = wire.getStoreUri();
        scheme = uri.substring(0, Math.max(0, uri.indexOf(':')));
        uriBase = scheme + "://" + wire.getRoot() + '/';
        storeBase = wire.getStoreId() + '/' + wire.getRoot() + '/';
        immutable = new Globs(wire.getImmutableList());
        kept = new Globs(wire.getKeptList());
        commitFiles =
                new Globs(
                        wire.getCommitFilesCount() > 0
                                ? wire.getCommitFilesList()
                                : COMMIT_FILES);
    }

    public String path() {
        return wire.getPath();
    }

    public String storeUri() {
        return wire.getStoreUri();
    }

    /** The scheme of the store's URI: s3a for all of S3's. */
    public String scheme() {
        return scheme;
    }

    /** The bucket or name service. */
    public String root() {
        return wire.getRoot();
    }

    /** The key of the mount's root, without a trailing slash. */
    public String prefix() {
        return wire.getPrefix();
    }

    /** The path that names a key through this mount; null where it lies outside. */
    public String pathOf(String key) {
        String prefix = wire.getPrefix();
        String below = key;
        if (!prefix.isEmpty()) {
            if (!key.startsWith(prefix)) {
                return null;
            }
            if (key.length() > prefix.length() && key.charAt(prefix.length()) != '/') {
                return null;
            }
            below = key.substring(Math.min(key.length(), prefix.length() + 1));
        }
        return below.isEmpty() ? path() : (path().equals("/") ? "" : path()) + '/' + below;
    }

    /** Whether the direct connector and the names of cached files are the same for both. */
    public boolean sameStore(Mount other) {
        return wire.getStoreUri().equals(other.wire.getStoreUri())
                && wire.getStoreId().equals(other.wire.getStoreId())
                && wire.getDirectConfMap().equals(other.wire.getDirectConfMap());
    }

    public boolean readOnly() {
        return wire.getReadOnly();
    }

    /** Whether there is data that the store does not have: what is there, the sidecar alone knows. */
    public boolean pending() {
        return wire.getPending();
    }

    /** Whether a path lies in a staging area: the sidecar alone knows what is there. */
    public boolean holds(String path) {
        for (String each : wire.getHeldList()) {
            if (path.startsWith(each)
                    && (path.length() == each.length() || path.charAt(each.length()) == '/')) {
                return true;
            }
        }
        return false;
    }

    /** How old the validation behind an open may be. */
    public long freshnessMs() {
        return wire.getFreshnessMs();
    }

    /** How old the validation behind a listing may be; 0: each listing asks. */
    public long listFreshnessMs() {
        return wire.getListFreshnessMs();
    }

    /** Hadoop keys with which the engine's own connector reaches the same store. */
    public Map<String, String> directConf() {
        return wire.getDirectConfMap();
    }

    /** The store's key of a path at or below this mount. */
    public String key(String path) {
        String below = below(path);
        String prefix = wire.getPrefix();
        if (prefix.isEmpty()) {
            return below;
        }
        return below.isEmpty() ? prefix : prefix + '/' + below;
    }

    /** What the meta of a key is filed under. */
    public String storePath(String key) {
        return storeBase + key;
    }

    /** Where the engine's own connector reads a key: the raw key behind the bucket's URI. */
    public String uri(String key) {
        return uriBase + key;
    }

    /** Whether the mount says that this file never changes once it is there. */
    public boolean isImmutable(String path) {
        return immutable.matches(below(path));
    }

    /** Whether no store gets a file at a path, its writer saying nothing. */
    public boolean keeps(String path) {
        return kept.matches(below(path));
    }

    /** Whether a table format commits by this file. */
    public boolean isCommitFile(String path) {
        return commitFiles.matches(below(path));
    }

    private String below(String path) {
        int from = path().length();
        if (path().equals("/")) {
            return path.substring(1);
        }
        return from < path.length() && path.charAt(from) == '/'
                ? path.substring(from + 1)
                : path.substring(from);
    }

    @Override
    public String toString() {
        return path() + " on " + storeUri();
    }
}
