package io.millpond.fs.local;

import io.millpond.fs.wire.Wire;
import java.util.Map;

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

    /** A table of mounts of S3, by path: bucket, prefix, endpoint. */
    public static MountTable ofS3(Map<String, String[]> mounts) {
        Wire.MountTable.Builder table = Wire.MountTable.newBuilder();
        mounts.forEach(
                (path, to) ->
                        table.addMounts(
                                Wire.Mount.newBuilder()
                                        .setPath(path)
                                        .setStoreUri("s3a://" + to[0] + '/' + to[1])
                                        .setRoot(to[0])
                                        .setPrefix(to[1])
                                        .putDirectConf(
                                                "fs.s3a.bucket." + to[0] + ".endpoint", to[2])));
        return new MountTable(table.build());
    }
}
