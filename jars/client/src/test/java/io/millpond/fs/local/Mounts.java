package io.millpond.fs.local;

import io.millpond.fs.wire.Wire;

/** Mounts for tests. */
public final class Mounts {
    private Mounts() {}

    /** A mount of a directory of this machine, by whatever scheme. */
    public static Mount of(String path, String scheme, String directory) {
        return new Mount(
                Wire.Mount.newBuilder()
                        .setPath(path)
                        .setStoreUri(scheme + "://" + directory)
                        .setPrefix(directory.substring(1))
                        .build());
    }
}
