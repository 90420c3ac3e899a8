package io.millpond.fs;

import java.io.Closeable;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;

/** One version of a file, read from its store by the engine's connector; thread-safe. */
final class DirectFile implements Closeable {
    private static final int COPY_BYTES = 1 << 20;

    private final FileVersion file;
    private FSDataInputStream in;
    private boolean reopened;
    private boolean closed;

    DirectFile(FileVersion file) {
        this.file = file;
    }

    /** Reads at {@code position} into {@code dst}, which is advanced: at least one byte. */
    int read(long position, ByteBuffer dst) throws IOException {
        if (dst.hasArray()) {
            int at = dst.arrayOffset() + dst.position();
            int count = read(position, dst.array(), at, dst.remaining());
            dst.position(dst.position() + count);
            return count;
        }
        byte[] copy = new byte[Math.min(dst.remaining(), COPY_BYTES)];
        int count = read(position, copy, 0, copy.length);
        dst.put(copy, 0, count);
        return count;
    }

    /**
     * Reads at {@code position}: at least one byte.
     *
     * @throws FileChangedException if the store now has another version; never a byte of it
     */
    synchronized int read(long position, byte[] dst, int offset, int length) throws IOException {
        if (closed) {
            throw new IOException("Stream is closed!");
        }
        try {
            if (in == null) {
                in = open();
            }
            in.seek(position);
            int count = in.read(dst, offset, length);
            if (file.store().provesAfterwards(file)) {
                count = fill(dst, offset, count, length); // one question for all of it
                check(file.store().status(file.path()));
            }
            if (count <= 0) {
                throw file.changed("it ends at " + position + ", not at " + file.length());
            }
            return count;
        } catch (FileChangedException | InterruptedIOException e) {
            throw e;
        } catch (IOException e) {
            drop();
            throw explain(e);
        }
    }

    private int fill(byte[] dst, int offset, int count, int length) throws IOException {
        int filled = count;
        for (int more = count; more > 0 && filled < length; filled += Math.max(more, 0)) {
            more = in.read(dst, offset + filled, length - filled);
        }
        return filled;
    }

    /** Gives the connector's resources back; the next read opens again. */
    synchronized void unbuffer() {
        drop();
    }

    @Override
    public synchronized void close() {
        closed = true;
        drop();
    }

    /**
     * Opens with what the connector said of this version, if it named one: then it reads that one
     * alone and need not be asked again.
     */
    private FSDataInputStream open() throws IOException {
        FileStatus told = file.told();
        boolean known = told != null && !file.version().isEmpty() && !file.store().isLocal();
        FileStatus status = known && !reopened ? told : file.store().status(file.path());
        reopened = true;
        check(status);
        return file.store().connector().open(status);
    }

    private void check(FileStatus status) throws FileChangedException {
        if (!file.store().same(status, file)) {
            throw file.changed("the store has another version");
        }
    }

    /** A connector says in many ways that the object was replaced; the store says it plainly. */
    private IOException explain(IOException failure) {
        try {
            if (!file.store().same(file.store().status(file.path()), file)) {
                return withCause(file.changed("the store has another version"), failure);
            }
        } catch (FileNotFoundException e) {
            return withCause(file.changed("the store no longer has it"), failure);
        } catch (IOException e) {
            failure.addSuppressed(e);
        }
        return failure;
    }

    private static IOException withCause(IOException error, IOException cause) {
        error.initCause(cause);
        return error;
    }

    private void drop() {
        if (in != null) {
            try {
                in.close();
            } catch (IOException e) {
                // It has given what it had; nothing of it is used any more.
            }
            in = null;
        }
    }
}
