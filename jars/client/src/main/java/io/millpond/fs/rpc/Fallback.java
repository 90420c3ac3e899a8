package io.millpond.fs.rpc;

import java.util.Locale;

/** Why a read went to the store and not through the cache: each is counted and logged once. */
public enum Fallback {
    /** This node has no cache directory, or none with mounts: no sidecar ever ran here. */
    NO_CACHE_DIR,
    /** Nobody listens on the sidecar's socket. */
    SIDECAR_ABSENT,
    /** The connection broke while a call was open. */
    SIDECAR_GONE,
    /** A call heard nothing for the silence limit. */
    SILENCE,
    /** The sidecar fell silent a moment ago and has not answered a probe since. */
    BREAKER_OPEN,
    /** Jar and sidecar share no protocol version. */
    PROTOCOL_MISMATCH,
    /** The sidecar does not know this client's token. */
    UNAUTHENTICATED,
    /** The sidecar has more in hand than it may hold. */
    OVERLOADED,
    /** The sidecar's credentials do not open this file; the engine's may. */
    PERMISSION,
    /** The sidecar could not get an answer from the store. */
    STORE_UNAVAILABLE,
    /** Any other error of the sidecar. */
    SIDECAR_ERROR,
    /** The sidecar answered "go direct": not admitted, no space. */
    TOLD_DIRECT,
    /** The file is not to be cached: weak version, or the mount says so. */
    NOT_CACHED,
    /** The pages were not there after two rounds of Fill. */
    FILL_ROUNDS,
    /** The lease is not good, and the store's version is not that of the cached blocks. */
    NO_LEASE,
    /** No mount covers the store's URI. */
    NOT_MOUNTED,
    /** The engine's configuration keeps this store URI out of the cache. */
    EXCLUDED,
    /** The plan names another version than the store has now: its own connector decides. */
    OTHER_VERSION,
    /** The local disk failed the reader: no descriptor left, I/O error. */
    LOCAL_IO;

    private final String label = name().toLowerCase(Locale.ROOT);

    /** Whether nobody answered, as against an answer that sends the read away. */
    boolean isAbsence() {
        return this == SIDECAR_ABSENT
                || this == SIDECAR_GONE
                || this == SILENCE
                || this == BREAKER_OPEN;
    }

    /** Whether it is how the site was set up, and nothing to warn of. */
    public boolean meant() {
        return this == NOT_MOUNTED || this == EXCLUDED;
    }

    /** The name in metrics: {@code fallback_<label>}. */
    public String label() {
        return label;
    }
}
