package io.millpond.linkage;

import io.millpond.fs.local.CacheWriter;
import io.millpond.fs.local.FileId;
import io.millpond.fs.wire.Wire;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** A file in a local store, mounted at /m, and a cache directory that has it in that version. */
final class CachedFile {
    private final Path cacheDir;
    private final String cachedSha256;

    /** The store's copy is all zeros, the cached one is not. */
    CachedFile(Path temp, int length) throws IOException, NoSuchAlgorithmException {
        Path store = Files.createDirectory(temp.resolve("store"));
        Path file = Files.write(store.resolve("file"), new byte[length]);
        // older than the two seconds within which a version is called weak
        FileTime old = FileTime.from(Files.getLastModifiedTime(file).toMillis() - 60_000,
                TimeUnit.MILLISECONDS);
        Files.setLastModifiedTime(file, old);
        cacheDir = Files.createDirectory(temp.resolve("cache"));
        CacheWriter writer = new CacheWriter(cacheDir);
        FileId id = writer.randomId();
        writer.file(id, length);
        Wire.Mount mount =
                Wire.Mount.newBuilder()
                        .setPath("/m")
                        .setStoreUri("file://" + store)
                        .setStoreId("0123456789abcdef")
                        .setPrefix(store.toString().substring(1))
                        .setFreshnessMs(30_000)
                        .build();
        writer.mounts(Wire.MountTable.newBuilder().addMounts(mount).build().toByteArray());
        String path = "0123456789abcdef//" + store.toString().substring(1) + "/file";
        writer.meta(path, id, version(file), length, System.nanoTime(), null);
        cachedSha256 = sha256(CacheWriter.content(id, 0, length));
    }

    Path cacheDir() {
        return cacheDir;
    }

    String cachedSha256() {
        return cachedSha256;
    }

    private static String version(Path file) throws IOException {
        Map<String, Object> unix =
                Files.readAttributes(file, "unix:dev,ino,size,lastModifiedTime,ctime");
        return unix.get("dev")
                + ":" + unix.get("ino")
                + ":" + unix.get("size")
                + ":" + ((FileTime) unix.get("lastModifiedTime")).to(TimeUnit.NANOSECONDS)
                + ":" + ((FileTime) unix.get("ctime")).to(TimeUnit.NANOSECONDS);
    }

    private static String sha256(byte[] data) throws NoSuchAlgorithmException {
        StringBuilder text = new StringBuilder();
        for (byte each : MessageDigest.getInstance("SHA-256").digest(data)) {
            text.append(String.format("%02x", each));
        }
        return text.toString();
    }
}
