package io.millpond.fs;

import com.google.protobuf.ByteString;
import io.millpond.fs.rpc.Counters;
import io.millpond.fs.rpc.Fallback;
import io.millpond.fs.rpc.FillCall;
import io.millpond.fs.rpc.SidecarTrouble;
import io.millpond.fs.wire.Wire;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.function.Consumer;

/**
 * Reads what is not on disk: asks the sidecar to fill, takes small results from its reply, waits
 * for pages as they appear, and reads the store where all that fails. At most two rounds of Fill
 * for one read.
 */
final class Misses {
    private static final int ROUNDS = 2;
    private static final String NOT_ADMITTED = "not_admitted";

    private final Client client;
    private final FileVersion file;
    private final FileBlocks blocks;
    private final Window window;
    private final Fills fills;
    private final RemoteFile remote;
    private final Consumer<ByteBuffer> loaded;
    /** The version as the store calls it; null until that is asked for. */
    private DirectFile direct;
    private boolean closed;
    private volatile Inline inline;
    private volatile long directFrom;
    private volatile long directUntil;

    /** {@code loaded} takes the whole of a small file once it is in memory. */
    Misses(
            Client client,
            FileVersion file,
            FileBlocks blocks,
            ReadPolicy policy,
            long splitEnd,
            Consumer<ByteBuffer> loaded) {
        this.client = client;
        this.file = file;
        this.blocks = blocks;
        this.window = new Window(policy, file.length(), splitEnd, client.windowBytes());
        this.fills = new Fills(client, file, blocks, window, policy);
        this.remote = file.remote() ? new RemoteFile(client, file, window) : null;
        this.loaded = loaded;
    }

    /** Whether a fill of this very stream brought the page: then reading it is no hit. */
    boolean brought(long position) {
        return fills.brought(position);
    }

    /** The stream has read at {@code position} from local blocks. */
    void advanced(long position, int count) {
        window.moveTo(position);
        window.advancedTo(position + count);
        fills.passed(position + count);
    }

    /** Reads where the stream stands. */
    int readOn(long position, ByteBuffer dst) throws IOException {
        window.moveTo(position);
        int read = read(position, dst, true);
        window.advancedTo(position + read);
        fills.passed(position + read);
        return read;
    }

    /** Reads anywhere, by any thread. */
    int readAt(long position, ByteBuffer dst) throws IOException {
        return read(position, dst, false);
    }

    private int read(long position, ByteBuffer dst, boolean stream) throws IOException {
        int taken = takeInline(inline, position, dst);
        if (taken > 0) {
            return taken;
        }
        if (file.direct() != null) {
            return direct(position, dst, file.direct(), null);
        }
        if (remote != null) {
            return remote(position, dst, stream);
        }
        if (directFrom <= position && position < directUntil) {
            return direct(position, dst, Fallback.TOLD_DIRECT, null);
        }
        for (int round = 0; round < ROUNDS; round++) {
            if (blocks.starved()) {
                return direct(position, dst, Fallback.LOCAL_IO, null);
            }
            client.counters().round(round + 1);
            try {
                FillCall call = call(round, position, dst, stream);
                int read = await(call, position, dst, stream);
                if (read > 0) {
                    return read;
                }
                fills.forget(call);
            } catch (SidecarTrouble e) {
                fills.forgetAll();
                return direct(position, dst, e.reason(), e);
            }
            if (directFrom <= position && position < directUntil) {
                return direct(position, dst, Fallback.TOLD_DIRECT, null);
            }
        }
        return direct(position, dst, Fallback.FILL_ROUNDS, null);
    }

    private FillCall call(int round, long position, ByteBuffer dst, boolean stream)
            throws IOException {
        if (round > 0) {
            return fills.inline(position, dst);
        }
        return stream ? fills.toRead(position, dst) : fills.toReadAt(position, dst);
    }

    /** A range that was cut off is asked for once more: the answer says why, if there is one. */
    private int remote(long position, ByteBuffer dst, boolean stream) throws IOException {
        SidecarTrouble trouble = null;
        for (int round = 0; round < ROUNDS; round++) {
            try {
                return stream ? remote.readOn(position, dst) : remote.readAt(position, dst);
            } catch (PathNotFoundException e) {
                throw file.changed("the store no longer has it");
            } catch (SidecarTrouble e) {
                trouble = e;
                if (e.reason() != Fallback.SIDECAR_GONE) {
                    break;
                }
            }
        }
        return direct(position, dst, trouble.reason(), trouble);
    }

    /** Bytes read once {@code call} has made them present; 0 if they are absent in spite of it. */
    private int await(FillCall call, long position, ByteBuffer dst, boolean stream)
            throws IOException {
        long needed = stream ? position : Math.min(call.end(), position + dst.remaining()) - 1;
        Wire.FillReply reply = call.await(call.bytesBefore(needed));
        if (reply == null) {
            int read = readFilled(position, dst);
            if (read > 0) {
                return read;
            }
            reply = call.await(Long.MAX_VALUE);
        }
        switch (reply.getResult()) {
            case INLINE:
                return takeInline(keep(call, reply.getData()), position, dst);
            case PRESENT:
                expect(reply, position);
                return readFilled(position, dst);
            default:
                boolean whole = reply.getReason().equals(NOT_ADMITTED);
                directFrom = whole ? 0 : call.start();
                directUntil = whole ? file.length() : call.end();
                if (whole) {
                    fills.forgetAll();
                }
                return 0;
        }
    }

    private void expect(Wire.FillReply reply, long position) throws IOException {
        int number = (int) (position >>> FileBlocks.BLOCK_SHIFT);
        for (Wire.BlockGeneration each : reply.getBlocksList()) {
            if (each.getBlock() == number) {
                blocks.expect(position, each.getGeneration());
                return;
            }
        }
        if (reply.getBlocksCount() == 0 && file.length() <= Client.INLINE_FILE_BYTES) {
            ByteBuffer content = client.content(file);
            if (content != null) {
                remember(content);
            }
        }
    }

    /** Reads local blocks as they are now; 0 where the page is absent. */
    int readFilled(long position, ByteBuffer dst) throws IOException {
        int read = takeInline(inline, position, dst);
        if (read > 0) {
            return read;
        }
        try {
            read = blocks.read(position, dst);
            if (read == 0) {
                blocks.refresh(position);
                read = blocks.read(position, dst);
            }
        } catch (java.io.InterruptedIOException e) {
            throw e;
        } catch (IOException e) {
            throw new SidecarTrouble(Fallback.LOCAL_IO, e.toString());
        }
        if (read > 0) {
            client.counters().add(Counters.Name.FILLED_BYTES, read);
        }
        return read;
    }

    private Inline keep(FillCall call, ByteString data) {
        Inline fresh = new Inline(call.start(), data.asReadOnlyByteBuffer());
        if (call.start() == 0 && data.size() == file.length()) {
            remember(data.asReadOnlyByteBuffer());
        } else {
            inline = fresh;
        }
        return fresh;
    }

    private void remember(ByteBuffer whole) {
        if (whole.remaining() == file.length()) {
            inline = new Inline(0, whole);
            loaded.accept(whole);
        }
    }

    private int takeInline(Inline from, long position, ByteBuffer dst) {
        int count = from == null ? 0 : from.copy(position, dst);
        if (count > 0) {
            client.counters().add(Counters.Name.INLINE_BYTES, count);
        }
        return count;
    }

    /** Reads the store, since the sidecar said so. */
    int readDirect(long position, ByteBuffer dst) throws IOException {
        return direct(position, dst, Fallback.TOLD_DIRECT, null);
    }

    /** Fills all absent pages of some ranges by one call; null if nothing is absent. */
    FillCall fillAll(Iterable<long[]> ranges) throws IOException {
        return file.direct() != null || remote != null ? null : fills.all(ranges);
    }

    private int direct(long position, ByteBuffer dst, Fallback reason, SidecarTrouble trouble)
            throws IOException {
        client.fallback(reason, trouble == null ? file.path() : trouble.getMessage());
        try {
            int read = inStore().read(position, dst);
            client.counters().add(Counters.Name.DIRECT_READS, 1);
            client.counters().add(Counters.Name.DIRECT_BYTES, read);
            return read;
        } catch (FileChangedException e) {
            throw e;
        } catch (IOException e) {
            throw Client.bothFailed(trouble, e);
        }
    }

    private synchronized DirectFile inStore() throws IOException {
        if (direct == null) {
            direct = new DirectFile(client.inStore(file));
            if (closed) {
                direct.close();
            }
        }
        return direct;
    }

    private synchronized DirectFile ended(boolean closing) {
        closed |= closing;
        return direct;
    }

    void unbuffer() {
        inline = null;
        DirectFile open = ended(false);
        if (open != null) {
            open.unbuffer();
        }
        dropRemote();
    }

    void close() {
        fills.close();
        DirectFile open = ended(true);
        if (open != null) {
            open.close();
        }
        dropRemote();
    }

    private void dropRemote() {
        if (remote != null) {
            remote.drop();
        }
    }

    /** Bytes that came in a reply. */
    private static final class Inline {
        private final long start;
        private final ByteBuffer data;

        Inline(long start, ByteBuffer data) {
            this.start = start;
            this.data = data;
        }

        int copy(long position, ByteBuffer dst) {
            long at = position - start;
            if (at < 0 || at >= data.limit()) {
                return 0;
            }
            int count = (int) Math.min(dst.remaining(), data.limit() - at);
            ByteBuffer source = data.duplicate();
            source.position((int) at).limit((int) at + count);
            dst.put(source);
            return count;
        }
    }
}
