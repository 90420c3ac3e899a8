package io.millpond.fs;

import io.millpond.fs.rpc.Counters;
import io.millpond.fs.rpc.RemoteSidecar;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;

/**
 * One version of a file, read in ranges from another node's sidecar. Where the stream stands, one
 * range is kept open and read as far as it goes; positioned reads have ranges of their own.
 */
final class RemoteFile {
    private static final int COPY_BYTES = 256 << 10;

    /** Skipping so many bytes costs less than a new request. */
    private static final int SKIP_BYTES = 256 << 10;

    private final Client client;
    private final RemoteSidecar sidecar;
    private final FileVersion file;
    private final Window window;
    private InputStream in;
    private long at;
    private long end;

    RemoteFile(Client client, FileVersion file, Window window) {
        this.client = client;
        this.sidecar = client.remote();
        this.file = file;
        this.window = window;
    }

    /** Reads where the stream stands, into a buffer that is advanced: at least one byte. */
    synchronized int readOn(long position, ByteBuffer dst) throws IOException {
        if (in == null || position < at || position >= end || position - at > SKIP_BYTES) {
            drop();
            at = position;
            end = Math.max(position + 1, window.fetchEnd(position, dst.remaining()));
            in = sidecar.open(file.path(), file.id().bytes(), at, end);
        }
        try {
            skip(position - at);
            at = position;
            int read = some(in, dst, end - at);
            at += read;
            return read;
        } catch (IOException e) {
            drop();
            throw sidecar.trouble(e);
        }
    }

    /** Reads anywhere, by any thread: at least one byte. */
    int readAt(long position, ByteBuffer dst) throws IOException {
        long stop = Math.min(file.length(), position + dst.remaining());
        int from = dst.position();
        try (InputStream range = sidecar.open(file.path(), file.id().bytes(), position, stop)) {
            int done = some(range, dst, stop - position);
            while (position + done < stop) {
                done += some(range, dst, stop - position - done);
            }
            return done;
        } catch (IOException e) {
            dst.position(from);
            throw sidecar.trouble(e);
        }
    }

    private int some(InputStream from, ByteBuffer dst, long limit) throws IOException {
        int count = (int) Math.min(dst.remaining(), limit);
        int read;
        if (dst.hasArray()) {
            read = from.read(dst.array(), dst.arrayOffset() + dst.position(), count);
            dst.position(dst.position() + Math.max(0, read));
        } else {
            byte[] copy = new byte[Math.min(count, COPY_BYTES)];
            read = from.read(copy, 0, copy.length);
            dst.put(copy, 0, Math.max(0, read));
        }
        if (read <= 0) {
            throw new EOFException("the range was cut off");
        }
        client.counters().add(Counters.Name.REMOTE_BYTES, read);
        return read;
    }

    private void skip(long count) throws IOException {
        long left = count;
        while (left > 0) {
            byte[] waste = new byte[(int) Math.min(left, COPY_BYTES)];
            int read = in.read(waste);
            if (read <= 0) {
                throw new EOFException("the range was cut off");
            }
            left -= read;
        }
    }

    /** Gives the connection back; the next read asks again. */
    synchronized void drop() {
        if (in != null) {
            try {
                in.close();
            } catch (IOException e) {
                // It has given what it had.
            }
            in = null;
        }
    }
}
