package io.millpond.fs;

import java.io.IOException;
import java.io.OutputStream;
import org.apache.hadoop.fs.FSDataOutputStream;

/** A stream into a store which, once it is closed, has the cache forget what was there. */
final class NotedOutputStream extends FSDataOutputStream {
    private final FSDataOutputStream given;
    private final Runnable closed;

    NotedOutputStream(FSDataOutputStream given, Runnable closed) throws IOException {
        super(given, null, given.getPos());
        this.given = given;
        this.closed = closed;
    }

    /** The store's own stream, which some callers test the class of. */
    @Override
    public OutputStream getWrappedStream() {
        return given.getWrappedStream();
    }

    @Override
    public void close() throws IOException {
        try {
            super.close();
        } finally {
            closed.run();
        }
    }
}
