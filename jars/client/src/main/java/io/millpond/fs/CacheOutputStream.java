package io.millpond.fs;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.io.OutputStream;
import java.nio.channels.ClosedByInterruptException;
import org.apache.hadoop.fs.FSExceptionMessages;
import org.apache.hadoop.util.Progressable;

/**
 * A file being written. It appears when {@link #close} returns, once; where anything failed before,
 * or it was aborted, it never does, and {@code close} says so. Nothing is durable before: {@code
 * flush} promises nothing, and {@code hflush} and {@code hsync} are refused.
 */
class CacheOutputStream extends OutputStream {
    private final StagedWrite staged;
    private final String path;
    private final Progressable progress;
    private final byte[] buffer = new byte[StagedWrite.bufferBytes()];
    private final byte[] one = new byte[1];
    private int buffered;
    private boolean closed;
    private IOException failure;

    CacheOutputStream(StagedWrite staged, String path, Progressable progress) {
        this.staged = staged;
        this.path = path;
        this.progress = progress;
    }

    @Override
    public synchronized void write(int b) throws IOException {
        one[0] = (byte) b;
        write(one, 0, 1);
    }

    @Override
    public synchronized void write(byte[] data, int from, int count) throws IOException {
        if (closed) {
            throw new IOException(FSExceptionMessages.STREAM_IS_CLOSED + ": " + path);
        }
        if (failure != null) {
            throw again();
        }
        int at = from;
        int left = count;
        while (left > 0) {
            if (buffered == 0 && left >= buffer.length) {
                int whole = left - left % buffer.length;
                drain(data, at, whole);
                at += whole;
                left -= whole;
                continue;
            }
            int some = Math.min(left, buffer.length - buffered);
            System.arraycopy(data, at, buffer, buffered, some);
            buffered += some;
            at += some;
            left -= some;
            if (buffered == buffer.length) {
                drain(buffer, 0, buffered);
                buffered = 0;
            }
        }
    }

    /** Promises nothing: what is written is visible and durable at {@link #close}. */
    @Override
    public synchronized void flush() throws IOException {
        if (closed) {
            return;
        }
        if (failure != null) {
            throw again();
        }
    }

    @Override
    public synchronized void close() throws IOException {
        if (closed) {
            return;
        }
        closed = true;
        if (failure != null) {
            staged.abort();
            throw again();
        }
        try {
            if (buffered > 0) {
                drain(buffer, 0, buffered);
            }
            staged.commit();
            tell();
        } catch (IOException e) {
            staged.abort();
            throw e;
        }
    }

    /** Gives the file up; whether it was still open. */
    final synchronized boolean giveUp() {
        if (closed) {
            return false;
        }
        closed = true;
        staged.abort();
        return true;
    }

    final String path() {
        return path;
    }

    private void drain(byte[] data, int from, int count) throws IOException {
        try {
            staged.write(data, from, count);
            tell();
        } catch (ClosedByInterruptException e) {
            InterruptedIOException io = new InterruptedIOException("interrupted while writing");
            io.initCause(e);
            failure = io;
            throw io;
        } catch (IOException e) {
            failure = e;
            throw e;
        }
    }

    private void tell() {
        if (progress != null) {
            progress.progress();
        }
    }

    private IOException again() {
        return new IOException(path + " was not written: " + failure.getMessage(), failure);
    }
}
