package io.millpond.fs;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import java.util.function.IntFunction;
import org.apache.hadoop.fs.ByteBufferPositionedReadable;
import org.apache.hadoop.fs.FSExceptionMessages;
import org.apache.hadoop.fs.FileRange;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.StreamCapabilities;
import org.apache.hadoop.fs.statistics.IOStatistics;
import org.apache.hadoop.fs.statistics.IOStatisticsSource;

/** The stream with what Hadoop 3.3.5 added: positioned buffer reads, vectored reads, statistics. */
final class Hadoop3InputStream extends CacheInputStream
        implements ByteBufferPositionedReadable, StreamCapabilities, IOStatisticsSource {
    /** Ranges closer than this are cheaper read as one. */
    private static final int MIN_SEEK_BYTES = 64 << 10;

    private static final int MAX_READ_BYTES = 8 << 20;

    private final StreamStatistics io = new StreamStatistics();

    Hadoop3InputStream(FileReader reader, FileSystem.Statistics statistics) {
        super(reader, statistics);
    }

    @Override
    public int read(long at, ByteBuffer dst) throws IOException {
        checkPositioned(at);
        if (!dst.hasRemaining()) {
            return 0;
        }
        if (at >= length()) {
            return -1;
        }
        int limit = dst.limit();
        if (dst.remaining() > length() - at) {
            dst.limit(dst.position() + (int) (length() - at));
        }
        try {
            int read = reader().readAt(at, dst);
            count(read);
            return read;
        } finally {
            dst.limit(limit);
        }
    }

    @Override
    public void readFully(long at, ByteBuffer dst) throws IOException {
        checkPositioned(at);
        int count = dst.remaining();
        if (count > length() - at) {
            throw new EOFException(FSExceptionMessages.EOF_IN_READ_FULLY);
        }
        long next = at;
        while (dst.hasRemaining()) {
            next += reader().readAt(next, dst);
        }
        count(count);
    }

    @Override
    public void readVectored(List<? extends FileRange> ranges, IntFunction<ByteBuffer> allocate)
            throws IOException {
        readVectored(ranges, allocate, buffer -> {});
    }

    /** The form that Hadoop 3.4.2 added; not marked as overriding, so that 3.4.1 compiles it. */
    public void readVectored(
            List<? extends FileRange> ranges,
            IntFunction<ByteBuffer> allocate,
            Consumer<ByteBuffer> release)
            throws IOException {
        checkOpen();
        new VectoredRead(reader(), this::count).start(ranges, allocate, release);
        io.vectored(ranges.size());
    }

    @Override
    public int minSeekForVectorReads() {
        return MIN_SEEK_BYTES;
    }

    @Override
    public int maxReadSizeForVectorReads() {
        return MAX_READ_BYTES;
    }

    @Override
    public boolean hasCapability(String capability) {
        switch (capability.toLowerCase(Locale.ENGLISH)) {
            case StreamCapabilities.READBYTEBUFFER:
            case StreamCapabilities.PREADBYTEBUFFER:
            case StreamCapabilities.UNBUFFER:
            case StreamCapabilities.VECTOREDIO:
            case StreamCapabilities.IOSTATISTICS:
                return true;
            default:
                return false;
        }
    }

    @Override
    public IOStatistics getIOStatistics() {
        return io;
    }

    @Override
    void noted(int read) {
        io.read(read);
    }

    private void count(int read) {
        counted(read);
    }
}
