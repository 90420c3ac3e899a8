package io.millpond.fs.hdfs;

import java.io.IOException;
import java.io.OutputStream;
import org.apache.hadoop.crypto.CryptoOutputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.hdfs.DFSOutputStream;
import org.apache.hadoop.hdfs.client.HdfsDataOutputStream;

/** An HDFS stream, to callers that test for one, which runs something once it is closed. */
final class NotedHdfsStream extends HdfsDataOutputStream {
    private final Runnable closed;

    private NotedHdfsStream(
            DFSOutputStream out, FileSystem.Statistics statistics, long at, Runnable closed)
            throws IOException {
        super(out, statistics, at);
        this.closed = closed;
    }

    private NotedHdfsStream(
            CryptoOutputStream out, FileSystem.Statistics statistics, long at, Runnable closed)
            throws IOException {
        super(out, statistics, at);
        this.closed = closed;
    }

    /** In place of {@code given}, over the same inner stream; null where that is another's. */
    static HdfsDataOutputStream of(
            FSDataOutputStream given, FileSystem.Statistics statistics, Runnable closed)
            throws IOException {
        OutputStream inner = given.getWrappedStream();
        if (inner instanceof DFSOutputStream) {
            DFSOutputStream out = (DFSOutputStream) inner;
            return new NotedHdfsStream(out, statistics, given.getPos(), closed);
        }
        if (inner instanceof CryptoOutputStream) {
            CryptoOutputStream out = (CryptoOutputStream) inner;
            return new NotedHdfsStream(out, statistics, given.getPos(), closed);
        }
        return null;
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
