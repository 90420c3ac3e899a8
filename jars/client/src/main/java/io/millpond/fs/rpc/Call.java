package io.millpond.fs.rpc;

import io.millpond.fs.wire.Wire;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.util.function.BooleanSupplier;
import java.util.function.LongSupplier;

/**
 * One request in flight. The connection's reader thread delivers frames; waiting is bounded by
 * silence, not by duration: each frame starts the limit anew.
 */
abstract class Call {
    /** A wait that overshot by more than this was this process's own pause: look once more. */
    private static final long PAUSE_NS = 50_000_000;

    private static final long GRACE_NS = 100_000_000;

    private final LongSupplier nowNs;
    private final long silenceNs;
    private long heardNs;
    private IOException failure;
    private boolean finished;
    private volatile Runnable abandon = () -> {};
    private volatile Patience patience;

    Call(LongSupplier nowNs, long silenceNs) {
        this.nowNs = nowNs;
        this.silenceNs = silenceNs;
        this.heardNs = nowNs.getAsLong();
    }

    /** Takes one frame; called under this monitor. */
    abstract void accept(Wire.Reply reply);

    /** What to run when nobody waits for this call any more. */
    final void onAbandon(Runnable action) {
        abandon = action;
    }

    /** Who keeps account of waits in vain. */
    final void accountTo(Patience account) {
        patience = account;
    }

    final synchronized void offer(Wire.Reply reply) {
        heardNs = nowNs.getAsLong();
        if (reply.hasError()) {
            failure = RemoteErrors.of(reply.getError());
        } else {
            accept(reply);
        }
        if (!reply.getMore()) {
            finished = true;
        }
        notifyAll();
    }

    final synchronized void fail(IOException reason) {
        if (!finished && failure == null) {
            failure = reason;
            notifyAll();
        }
    }

    /** Whether the final frame, or a failure, has come. */
    public final synchronized boolean done() {
        return finished || failure != null;
    }

    /**
     * Waits until {@code enough} holds (evaluated under this monitor) or the final frame came.
     *
     * @throws SidecarTrouble after the silence limit, or when the connection failed
     * @throws IOException the error the sidecar answered
     */
    final void await(BooleanSupplier enough) throws IOException {
        long from = nowNs.getAsLong();
        try {
            if (heard(enough)) {
                return;
            }
        } catch (SidecarTrouble e) {
            lost(from, e.reason());
            throw e;
        }
        lost(from, Fallback.SILENCE);
        abandon.run();
        throw new SidecarTrouble(
                Fallback.SILENCE, "nothing heard for " + silenceNs / 1_000_000 + " ms");
    }

    private void lost(long from, Fallback reason) {
        Patience account = patience;
        if (account != null && reason.isAbsence()) {
            long last;
            synchronized (this) {
                last = heardNs;
            }
            account.lost(last - from > 0 ? last : from, nowNs.getAsLong());
        }
    }

    private synchronized boolean heard(BooleanSupplier enough) throws IOException {
        long from = nowNs.getAsLong();
        boolean paused = false;
        while (!enough.getAsBoolean()) {
            if (failure != null) {
                throw failure;
            }
            if (finished) {
                return true;
            }
            long now = nowNs.getAsLong();
            long left = (heardNs - from > 0 ? heardNs : from) + silenceNs - now;
            if (left <= 0) {
                if (paused || -left < PAUSE_NS) {
                    return false;
                }
                paused = true;
                left = GRACE_NS;
                from = now - silenceNs + GRACE_NS;
            }
            pause(left);
        }
        return true;
    }

    private void pause(long ns) throws InterruptedIOException {
        try {
            wait(ns / 1_000_000, (int) (ns % 1_000_000));
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            InterruptedIOException io = new InterruptedIOException("interrupted in a cache read");
            io.initCause(e);
            throw io;
        }
    }
}
