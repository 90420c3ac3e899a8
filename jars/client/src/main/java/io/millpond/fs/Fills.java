package io.millpond.fs;

import com.google.protobuf.ByteString;
import io.millpond.fs.rpc.FillCall;
import io.millpond.fs.rpc.SidecarTrouble;
import io.millpond.fs.wire.Wire;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Iterator;

/**
 * The Fill calls of one stream: those a read waits for, and those a sequential stream sends ahead
 * of itself, so that the store is never idle while the engine reads.
 */
final class Fills {
    private static final long NEVER = Long.MAX_VALUE;

    private final Client client;
    private final FileVersion file;
    private final FileBlocks blocks;
    private final Window window;
    private final ReadPolicy policy;
    private final Deque<FillCall> ahead = new ArrayDeque<>();
    private volatile long broughtFrom;
    private volatile long broughtTo;
    private long stream;
    private long askedEnd;
    private long askNextAt = NEVER;

    Fills(Client client, FileVersion file, FileBlocks blocks, Window window, ReadPolicy policy) {
        this.client = client;
        this.file = file;
        this.blocks = blocks;
        this.window = window;
        this.policy = policy;
    }

    /** The call that brings the page at the stream's position: one under way, else a new one. */
    synchronized FillCall toRead(long position, ByteBuffer dst) throws IOException {
        for (Iterator<FillCall> all = ahead.iterator(); all.hasNext(); ) {
            FillCall each = all.next();
            if (each.covers(position)) {
                return each;
            }
            if (each.done()) {
                all.remove();
            }
        }
        long start = window.fetchStart(position);
        long end = window.fetchEnd(position, Math.min(dst.remaining(), client.windowBytes()));
        if (start != broughtTo) {
            broughtFrom = start;
        }
        broughtTo = end;
        FillCall call = send(start, end, window.streaming() ? window.hint(end) : 0);
        if (window.streaming()) {
            ahead.add(call);
            askedEnd = end;
            askNextAt = position + (end - position) / 2;
        } else {
            askNextAt = NEVER;
        }
        return call;
    }

    /** A call for a positioned read: the pages it needs and no more. */
    FillCall toReadAt(long position, ByteBuffer dst) throws IOException {
        long length = file.length();
        boolean whole = length <= Window.SMALL_FILE_BYTES;
        long page = Window.PAGE_BYTES;
        long need = Math.min(dst.remaining(), client.windowBytes());
        long end = Math.min(length, (position + need + page - 1) / page * page);
        return send(whole ? 0 : position - position % page, whole ? length : end, 0);
    }

    /**
     * A call that is answered by the bytes themselves: for blocks that are said to be here and can't
     * be read by this process, such as those of a newer release.
     */
    FillCall inline(long position, ByteBuffer dst) throws IOException {
        long start = position - position % Window.PAGE_BYTES;
        long most = Math.min(start + ClientConf.INLINE_BYTES, position + dst.remaining());
        return send(start, Math.min(file.length(), most), 0);
    }

    /** Whether a position lies in what the stream's run has asked for. */
    boolean brought(long position) {
        return position < broughtTo && position >= broughtFrom;
    }

    /** The stream has come to {@code position}: past the middle of a range, the next is asked. */
    void passed(long position) {
        if (position >= askNextAt) {
            askNext();
        }
    }

    private synchronized void askNext() {
        long start = askedEnd;
        askNextAt = NEVER;
        if (!window.streaming() || start >= window.limit()) {
            return;
        }
        try {
            long end = window.aheadEnd(start);
            long absent = blocks.presentEnd(start, end);
            if (absent < end) {
                ahead.add(send(absent, end, window.hint(end)));
                broughtFrom = absent == broughtTo ? broughtFrom : absent;
                broughtTo = end;
            }
            askedEnd = end;
            askNextAt = start + (end - start) / 2;
        } catch (IOException e) {
            // Nobody waits for this: the read that needs the page will meet the trouble itself.
        }
    }

    /** One call for all absent pages of ascending ranges; null if all are present. */
    FillCall all(Iterable<long[]> ranges) throws IOException {
        Wire.FillRequest.Builder request = request(Wire.Intent.VECTORED);
        long total = 0;
        long sentEnd = 0;
        for (long[] range : ranges) {
            long from = Math.max(sentEnd, range[0] - range[0] % Window.PAGE_BYTES);
            long start = blocks.presentEnd(from, range[1]);
            start -= start % Window.PAGE_BYTES;
            long page = Window.PAGE_BYTES;
            long end = Math.min(file.length(), (range[1] + page - 1) / page * page);
            if (start < range[1]) {
                request.addRanges(range(start, end));
                total += end - start;
                sentEnd = end;
            }
        }
        if (total == 0) {
            return null;
        }
        return client.sidecar().fill(request.build());
    }

    synchronized void forget(FillCall call) {
        ahead.remove(call);
    }

    synchronized void forgetAll() {
        ahead.clear();
        askNextAt = NEVER;
    }

    synchronized void close() {
        boolean running = false;
        for (FillCall each : ahead) {
            running |= !each.done();
        }
        if (stream != 0 && (running || askedEnd < window.limit())) {
            client.sidecar().closeStream(file.path(), fileId(), stream);
        }
        ahead.clear();
    }

    private FillCall send(long start, long end, long windowBytes) throws IOException {
        Wire.FillRequest.Builder request =
                request(policy.intent()).addRanges(range(start, end)).setWindow(windowBytes);
        if (end - start <= ClientConf.INLINE_BYTES) {
            request.setInlineMax(ClientConf.INLINE_BYTES);
        }
        if (windowBytes > 0) {
            request.setStream(stream());
        }
        return client.sidecar().fill(request.build());
    }

    private synchronized long stream() {
        if (stream == 0) {
            stream = client.nextStream();
        }
        return stream;
    }

    private Wire.FillRequest.Builder request(Wire.Intent intent) throws SidecarTrouble {
        return Wire.FillRequest.newBuilder()
                .setPath(file.path())
                .setFileId(fileId())
                .setIntent(intent);
    }

    private ByteString fileId() {
        return ByteString.copyFrom(file.id().bytes());
    }

    private static Wire.Range range(long start, long end) {
        return Wire.Range.newBuilder().setOffset(start).setLength(end - start).build();
    }
}
