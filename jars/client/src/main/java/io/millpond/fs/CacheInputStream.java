package io.millpond.fs;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import org.apache.hadoop.fs.ByteBufferReadable;
import org.apache.hadoop.fs.CanUnbuffer;
import org.apache.hadoop.fs.FSExceptionMessages;
import org.apache.hadoop.fs.FSInputStream;
import org.apache.hadoop.fs.FileSystem;

/**
 * The stream over a cached file, with what Hadoop 2.7 has. Nothing is buffered: reads go from the
 * page cache into the caller's array. Positioned reads are thread-safe.
 */
class CacheInputStream extends FSInputStream implements ByteBufferReadable, CanUnbuffer {
    private final FileReader reader;
    private final FileSystem.Statistics statistics;
    private final long length;
    private long position;
    private volatile boolean closed;

    CacheInputStream(FileReader reader, FileSystem.Statistics statistics) {
        this.reader = reader;
        this.statistics = statistics;
        this.length = reader.file().length();
    }

    final FileReader reader() {
        return reader;
    }

    final long length() {
        return length;
    }

    @Override
    public final int read() throws IOException {
        byte[] one = new byte[1];
        return read(one, 0, 1) < 0 ? -1 : one[0] & 0xff;
    }

    @Override
    public final int read(byte[] dst, int offset, int count) throws IOException {
        checkOpen();
        java.util.Objects.checkFromIndexSize(offset, count, dst.length);
        if (count == 0) {
            return 0;
        }
        if (position >= length) {
            return -1;
        }
        int part = (int) Math.min(count, length - position);
        int read = reader.readOn(position, dst, offset, part);
        position += read;
        counted(read);
        return read;
    }

    @Override
    public final int read(ByteBuffer dst) throws IOException {
        checkOpen();
        if (!dst.hasRemaining()) {
            return 0;
        }
        if (position >= length) {
            return -1;
        }
        int limit = dst.limit();
        if (dst.remaining() > length - position) {
            dst.limit(dst.position() + (int) (length - position));
        }
        try {
            int read = reader.readOn(position, dst);
            position += read;
            counted(read);
            return read;
        } finally {
            dst.limit(limit);
        }
    }

    @Override
    public final int read(long at, byte[] dst, int offset, int count) throws IOException {
        checkPositioned(at, dst);
        java.util.Objects.checkFromIndexSize(offset, count, dst.length);
        if (count == 0) {
            return 0;
        }
        if (at >= length) {
            return -1;
        }
        int read = reader.readAt(at, dst, offset, (int) Math.min(count, length - at));
        counted(read);
        return read;
    }

    @Override
    public final void readFully(long at, byte[] dst, int offset, int count) throws IOException {
        checkPositioned(at, dst);
        java.util.Objects.checkFromIndexSize(offset, count, dst.length);
        if (count > length - at) {
            throw new EOFException(FSExceptionMessages.EOF_IN_READ_FULLY);
        }
        int done = 0;
        while (done < count) {
            done += reader.readAt(at + done, dst, offset + done, count - done);
        }
        counted(count);
    }

    @Override
    public final void readFully(long at, byte[] dst) throws IOException {
        checkPositioned(at, dst);
        readFully(at, dst, 0, dst.length);
    }

    @Override
    public final void seek(long to) throws IOException {
        checkOpen();
        if (to < 0) {
            throw new EOFException(FSExceptionMessages.NEGATIVE_SEEK + " " + to);
        }
        if (to > length) {
            throw new EOFException(FSExceptionMessages.CANNOT_SEEK_PAST_EOF + " " + to);
        }
        position = to;
    }

    @Override
    public final long skip(long count) throws IOException {
        checkOpen();
        long step = Math.max(0, Math.min(count, length - position));
        position += step;
        return step;
    }

    @Override
    public final long getPos() {
        return position;
    }

    @Override
    public final boolean seekToNewSource(long target) {
        return false;
    }

    @Override
    public final int available() throws IOException {
        checkOpen();
        return (int) Math.min(Integer.MAX_VALUE, length - position);
    }

    @Override
    public final boolean markSupported() {
        return false;
    }

    @Override
    public final void unbuffer() {
        reader.unbuffer();
    }

    @Override
    public final void close() {
        closed = true;
        reader.close();
    }

    @Override
    public final String toString() {
        return "CacheInputStream{" + reader.file().path() + " at " + position + "}";
    }

    final void counted(int read) {
        if (statistics != null) {
            statistics.incrementBytesRead(read);
            statistics.incrementReadOps(1);
        }
        noted(read);
    }

    /** For a subclass that keeps statistics of its own. */
    void noted(int read) {}

    final void checkOpen() throws IOException {
        if (closed) {
            throw new IOException(FSExceptionMessages.STREAM_IS_CLOSED);
        }
    }

    private void checkPositioned(long at, byte[] dst) throws IOException {
        checkPositioned(at);
        if (dst == null) {
            throw new IllegalArgumentException("Null buffer");
        }
    }

    final void checkPositioned(long at) throws IOException {
        checkOpen();
        if (at < 0) {
            throw new EOFException("position is negative: " + at);
        }
    }
}
