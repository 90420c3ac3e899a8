package io.millpond.fs.rpc;

import io.millpond.fs.wire.Wire;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.util.Map;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicLong;

/**
 * One multiplexed connection. Only its own two threads touch the channel: an interrupt of any other
 * thread would close it for all.
 */
final class Connection {
    private static final int OUTBOX = 4096;

    private final SocketChannel channel;
    private final Frames.Reader frames;
    private final Runnable heard;
    private final Runnable silent;
    private final BlockingQueue<ByteBuffer> outbox = new ArrayBlockingQueue<>(OUTBOX);
    private final Map<Long, Call> pending = new ConcurrentHashMap<>();
    private final AtomicLong ids = new AtomicLong();
    private volatile SidecarTrouble dead;

    Connection(SocketChannel channel, Runnable heard, Runnable silent) {
        this.channel = channel;
        this.frames = new Frames.Reader(channel);
        this.heard = heard;
        this.silent = silent;
    }

    /** Queues a request; its replies go to {@code call}. */
    void send(Wire.Request.Builder request, Call call) throws IOException {
        long id = ids.incrementAndGet();
        ByteBuffer frame = Frames.encode(request.setId(id).build());
        call.onAbandon(
                () -> {
                    pending.remove(id);
                    silent.run();
                });
        pending.put(id, call);
        if (!outbox.offer(frame)) {
            pending.remove(id);
            throw new SidecarTrouble(Fallback.OVERLOADED, "too many requests are waiting");
        }
        if (dead != null) {
            pending.remove(id);
            throw dead;
        }
    }

    /** Sends and receives on the calling thread alone, before {@link #run}. */
    Wire.Reply hello(Wire.Request request) throws IOException {
        write(Frames.encode(request));
        Wire.Reply reply = frames.next();
        if (reply == null) {
            throw new IOException("the sidecar closed the connection at Hello");
        }
        return reply;
    }

    /** Delivers replies until the connection ends; the calling thread is its reader. */
    void run() {
        Thread writer = new Thread(this::writeAll, "millpond-writer");
        writer.setDaemon(true);
        writer.start();
        String why = "the sidecar closed the connection";
        try {
            for (Wire.Reply reply = frames.next(); reply != null; reply = frames.next()) {
                heard.run();
                Call call =
                        reply.getMore()
                                ? pending.get(reply.getId())
                                : pending.remove(reply.getId());
                if (call != null) {
                    call.offer(reply);
                }
            }
        } catch (IOException e) {
            why = e.toString();
        } finally {
            close(new SidecarTrouble(Fallback.SIDECAR_GONE, why));
            writer.interrupt();
        }
    }

    boolean alive() {
        return dead == null;
    }

    /** Fails every open call, and leaves the connection as it is. */
    void failAll(SidecarTrouble reason) {
        for (Long id : pending.keySet()) {
            Call call = pending.remove(id);
            if (call != null) {
                call.fail(reason);
            }
        }
    }

    void close(SidecarTrouble reason) {
        if (dead == null) {
            dead = reason;
        }
        try {
            channel.close();
        } catch (IOException e) {
            // Nothing more can be done with it, and nobody waits for it.
        }
        failAll(reason);
    }

    private void writeAll() {
        try {
            while (alive()) {
                write(outbox.take());
            }
        } catch (InterruptedException e) {
            // The reader has closed the connection.
        } catch (IOException e) {
            close(new SidecarTrouble(Fallback.SIDECAR_GONE, e.toString()));
        }
    }

    private void write(ByteBuffer frame) throws IOException {
        while (frame.hasRemaining()) {
            channel.write(frame);
        }
    }
}
