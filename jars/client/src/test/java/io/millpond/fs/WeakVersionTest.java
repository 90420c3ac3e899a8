package io.millpond.fs;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.millpond.fs.local.FileId;
import io.millpond.fs.local.Mounts;
import io.millpond.fs.rpc.Fallback;
import java.io.IOException;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.hadoop.security.UserGroupInformation;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A connector that tells no entity tags: what may follow cached bytes in one stream. */
@Timeout(60)
class WeakVersionTest {
    private static final byte[] DATA = "the bytes of one version".getBytes();

    @TempDir Path temp;
    private DirectStore store;

    /** A store whose statuses have length and modification time alone. */
    public static final class Weak extends RawLocalFileSystem {
        @Override
        public URI getUri() {
            return URI.create("weak:///");
        }
    }

    @BeforeEach
    void prepare() throws IOException {
        Configuration conf = new Configuration(false);
        conf.setClass("fs.weak.impl", Weak.class, org.apache.hadoop.fs.FileSystem.class);
        store =
                new DirectStore(
                        Mounts.of("/m", "weak", temp.toString()),
                        conf,
                        UserGroupInformation.createRemoteUser("tester"));
    }

    @AfterEach
    void close() throws IOException {
        store.close();
    }

    private long put(byte[] data, long ageMs) throws IOException {
        Path file = temp.resolve("f");
        Files.write(file, data);
        long mtimeMs = System.currentTimeMillis() - ageMs;
        Files.setLastModifiedTime(file, FileTime.fromMillis(mtimeMs));
        return mtimeMs;
    }

    private FileVersion cached(long length, long mtimeMs) {
        StatusRow row = new StatusRow("/m/f", false, length, mtimeMs, "etag:" + length);
        return FileVersion.cached(row, store, FileId.of(new byte[FileId.BYTES]), null);
    }

    private static byte[] read(FileVersion file) throws IOException {
        try (DirectFile direct = new DirectFile(file)) {
            ByteBuffer all = ByteBuffer.allocate(DATA.length);
            direct.read(0, all);
            return all.array();
        }
    }

    @Test
    void anOldFileOfTheSameLengthAndTimeIsTheSame() throws IOException {
        FileVersion file = cached(DATA.length, put(DATA, 60_000));
        assertArrayEquals(DATA, read(file));
        assertTrue(store.mayMix(file));
    }

    @Test
    void aYoungFileProvesNothing() throws IOException {
        FileVersion file = cached(DATA.length, put(DATA, 0));
        assertTrue(store.mayMix(file), "nobody knows the connector yet");
        assertThrows(FileChangedException.class, () -> read(file));
        assertFalse(store.mayMix(file));
        FileVersion again = file.directly(Fallback.NOT_CACHED);
        assertEquals(Fallback.NOT_CACHED, again.direct());
        assertArrayEquals(DATA, read(again));
    }

    @Test
    void anotherTimeOrLengthIsAnotherVersion() throws IOException {
        long mtimeMs = put(DATA, 60_000);
        FileVersion other = cached(DATA.length, mtimeMs - 1000);
        assertThrows(FileChangedException.class, () -> read(other));
        FileVersion longer = cached(DATA.length + 1, mtimeMs);
        assertThrows(FileChangedException.class, () -> read(longer));
        FileVersion direct = other.directly(Fallback.NO_LEASE);
        assertThrows(FileChangedException.class, () -> read(direct));
    }

    @Test
    void whatReplacesItUnderAnOpenStreamIsSeen() throws IOException {
        FileVersion file = cached(DATA.length, put(DATA, 60_000));
        try (DirectFile direct = new DirectFile(file)) {
            byte[] bytes = new byte[4];
            assertEquals(4, direct.read(0, bytes, 0, 4));
            put("the bytes of the next!!!".getBytes(), 0);
            assertThrows(FileChangedException.class, () -> direct.read(4, bytes, 0, 4));
        }
    }
}
