package io.millpond.fs;

import io.millpond.fs.rpc.FillCall;
import io.millpond.fs.rpc.SidecarTrouble;
import io.millpond.fs.wire.Wire;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;
import java.util.function.IntConsumer;
import java.util.function.IntFunction;
import org.apache.hadoop.fs.FileRange;

/**
 * One call of readVectored: what is present is read at once by the caller's thread; for all the
 * rest one Fill is sent, and a thread of the pool completes the ranges in order as they appear.
 */
final class VectoredRead {
    private final FileReader reader;
    private final IntConsumer counted;

    VectoredRead(FileReader reader, IntConsumer counted) {
        this.reader = reader;
        this.counted = counted;
    }

    void start(
            List<? extends FileRange> ranges,
            IntFunction<ByteBuffer> allocate,
            Consumer<ByteBuffer> release)
            throws IOException {
        List<FileRange> sorted = checked(ranges);
        List<Pending> absent = new ArrayList<>();
        for (FileRange range : sorted) {
            range.setData(new CompletableFuture<>());
        }
        for (FileRange range : sorted) {
            Pending each = new Pending(range, allocate, release);
            if (!each.readLocal()) {
                absent.add(each);
            }
        }
        if (!absent.isEmpty()) {
            if (reader.file().remote()) {
                absent.forEach(each -> reader.client().execute(() -> each.readRest(false)));
                return;
            }
            FillCall call = fill(absent);
            reader.client().execute(() -> finish(absent, call));
        }
    }

    private FillCall fill(List<Pending> absent) throws IOException {
        List<long[]> ranges = new ArrayList<>();
        for (Pending each : absent) {
            ranges.add(new long[] {each.position(), each.end()});
        }
        try {
            return reader.misses().fillAll(ranges);
        } catch (SidecarTrouble e) {
            return null; // Each range meets the trouble by itself, and reads directly.
        }
    }

    /** Completes ranges in order; {@code call} tells how far they are, as far as it goes well. */
    private void finish(List<Pending> absent, FillCall call) {
        FillCall waiting = call;
        boolean direct = false;
        for (Pending each : absent) {
            if (waiting != null) {
                try {
                    Wire.FillReply reply = waiting.await(call.bytesBefore(each.end()) - 1);
                    direct = reply != null && reply.getResult() == Wire.FillResult.DIRECT;
                } catch (IOException e) {
                    waiting = null; // The read below finds out what to do instead.
                }
            }
            each.readRest(direct);
        }
    }

    private List<FileRange> checked(List<? extends FileRange> ranges) throws EOFException {
        long length = reader.file().length();
        List<FileRange> sorted = new ArrayList<>(ranges);
        sorted.sort(Comparator.comparingLong(FileRange::getOffset));
        long end = 0;
        for (FileRange each : sorted) {
            if (each.getLength() < 0) {
                throw new IllegalArgumentException("length is negative in " + each);
            }
            if (each.getOffset() < 0 || each.getLength() > length - each.getOffset()) {
                throw new EOFException("range " + each + " is outside the file of " + length);
            }
            if (each.getOffset() < end) {
                throw new IllegalArgumentException("range " + each + " overlaps another");
            }
            end = each.getOffset() + each.getLength();
        }
        return sorted;
    }

    /** A range, and the buffer that is being filled for it. */
    private final class Pending {
        private final FileRange range;
        private final ByteBuffer buffer;
        private final int start;
        private final Consumer<ByteBuffer> release;

        Pending(
                FileRange range,
                IntFunction<ByteBuffer> allocate,
                Consumer<ByteBuffer> release) {
            this.range = range;
            this.buffer = allocate.apply(range.getLength());
            this.start = buffer.position();
            this.release = release;
            buffer.limit(start + range.getLength());
        }

        long position() {
            return range.getOffset() + buffer.position() - start;
        }

        long end() {
            return range.getOffset() + range.getLength();
        }

        /** True when the range is complete. */
        boolean readLocal() throws IOException {
            while (buffer.hasRemaining()) {
                if (reader.local(position(), buffer) == 0) {
                    return false;
                }
            }
            complete();
            return true;
        }

        void readRest(boolean direct) {
            try {
                while (buffer.hasRemaining()) {
                    if (direct) {
                        reader.misses().readDirect(position(), buffer);
                    } else if (reader.filled(position(), buffer) == 0) {
                        reader.readAt(position(), buffer);
                    }
                }
                complete();
            } catch (IOException | RuntimeException e) {
                release.accept(buffer);
                range.getData().completeExceptionally(e);
            }
        }

        private void complete() {
            counted.accept(range.getLength());
            buffer.position(start);
            range.getData().complete(buffer);
        }
    }
}
