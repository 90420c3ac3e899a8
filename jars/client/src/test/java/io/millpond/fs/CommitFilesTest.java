package io.millpond.fs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.millpond.fs.local.Mount;
import io.millpond.fs.local.Mounts;
import io.millpond.fs.rpc.Changes;
import io.millpond.fs.rpc.Counters;
import io.millpond.fs.rpc.Endpoint;
import io.millpond.fs.rpc.Sidecar;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Abortable;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FSDataOutputStreamBuilder;
import org.apache.hadoop.fs.FSInputStream;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Renames of commit files without a sidecar, over a connector that uploads on close. */
class CommitFilesTest {
    private static final byte[] DATA = "{\"of\": \"a table\"}".getBytes();

    @TempDir java.nio.file.Path temp;
    private final Uploading system = new Uploading();
    private Mount mount;
    private Path source;
    private java.nio.file.Path target;

    /** What is written appears by the close of a stream that was not aborted, as with S3A. */
    private static final class Uploading extends RawLocalFileSystem {
        private int readable = Integer.MAX_VALUE;

        @Override
        public FSDataInputStream open(Path path, int bufferSize) throws IOException {
            byte[] data = Files.readAllBytes(local(path));
            return new FSDataInputStream(new Breaking(data, readable));
        }

        @Override
        public Builder createFile(Path path) {
            return new Builder(this, path);
        }
    }

    private static final class Breaking extends FSInputStream {
        private final byte[] data;
        private final int readable;
        private int at;

        private Breaking(byte[] data, int readable) {
            this.data = data;
            this.readable = readable;
        }

        @Override
        public int read() throws IOException {
            if (at == readable) {
                throw new IOException("the connection was reset");
            }
            return at < data.length ? data[at++] : -1;
        }

        @Override
        public int read(byte[] buffer, int offset, int length) throws IOException {
            int next = read();
            if (next < 0) {
                return -1;
            }
            buffer[offset] = (byte) next;
            return 1;
        }

        @Override
        public void seek(long position) {
            at = (int) position;
        }

        @Override
        public long getPos() {
            return at;
        }

        @Override
        public boolean seekToNewSource(long position) {
            return false;
        }
    }

    private static final class Builder
            extends FSDataOutputStreamBuilder<FSDataOutputStream, Builder> {
        private final Path path;

        private Builder(Uploading system, Path path) {
            super(system, path);
            this.path = path;
        }

        @Override
        public Builder getThisBuilder() {
            return this;
        }

        @Override
        public FSDataOutputStream build() throws IOException {
            return new FSDataOutputStream(new Upload(local(path)), null);
        }
    }

    private static final class Upload extends ByteArrayOutputStream implements Abortable {
        private final java.nio.file.Path target;
        private boolean ended;

        private Upload(java.nio.file.Path target) {
            this.target = target;
        }

        @Override
        public AbortableResult abort() {
            ended = true;
            return null;
        }

        @Override
        public void close() throws IOException {
            if (!ended) {
                ended = true;
                Files.write(target, toByteArray());
            }
        }
    }

    private static final class Nobody implements Sidecar.Identity {
        @Override
        public void greeted() {}

        @Override
        public String name() {
            return "test";
        }

        @Override
        public byte[] bootId() {
            return new byte[16];
        }

        @Override
        public long monotonicNs() {
            return System.nanoTime();
        }
    }

    private static java.nio.file.Path local(Path path) {
        return java.nio.file.Paths.get(path.toUri().getPath());
    }

    @BeforeEach
    void prepare() throws IOException {
        system.initialize(java.net.URI.create("file:///"), new Configuration(false));
        mount = Mounts.of("/m", "s3a", temp.toString());
        source = new Path(temp.resolve("a.metadata.json").toUri());
        target = temp.resolve("v3.metadata.json");
        Files.write(local(source), DATA);
    }

    private void rename() throws IOException {
        CommitFiles.rename(mount, system, source, new Path(target.toUri()));
    }

    @Test
    void itIsWhole() throws IOException {
        rename();
        assertEquals(new String(DATA), new String(Files.readAllBytes(target)));
        assertFalse(Files.exists(local(source)));
    }

    /** What the sidecar said, or why it could not be asked, is not masked by what the store lacks. */
    @Test
    void whatItMustNotGoPastIsLookedAtBeforeTheStore() {
        Sidecar sidecar =
                new Sidecar(
                        () -> new Endpoint(null, "127.0.0.1", 1, new byte[0], new byte[0]),
                        new Nobody(),
                        new Counters(),
                        System::nanoTime,
                        TimeUnit.SECONDS.toNanos(1),
                        TimeUnit.SECONDS.toNanos(1));
        NotAWriterException told = new NotAWriterException("no", "", "");
        CommitFiles files =
                new CommitFiles(
                        null,
                        new Changes(sidecar),
                        (path, trouble) -> {
                            if (path.equals("/m/v3.metadata.json")) {
                                throw told;
                            }
                        });
        assertSame(
                told,
                assertThrows(
                        IOException.class,
                        () -> files.rename("/m/a.metadata.json", "/m/v3.metadata.json")));
    }

    @Test
    void aSourceThatBreaksOffLeavesNothing() {
        for (int readable : new int[] {0, 5}) {
            system.readable = readable;
            assertThrows(IOException.class, this::rename);
            assertFalse(Files.exists(target), "after " + readable + " bytes");
            assertTrue(Files.exists(local(source)));
        }
    }
}
