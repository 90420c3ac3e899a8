package io.millpond.fs.rpc;

import java.util.function.LongSupplier;

/**
 * Decides whether the sidecar is worth asking. Two silences in a row, or one refused connection,
 * open it; while it is open nobody waits; a probe every few seconds, by a thread of its own, closes
 * it as soon as anything is heard.
 */
final class Breaker {
    private static final int STRIKES = 2;

    private final LongSupplier nowNs;
    private final long probeNs;
    private int strikes;
    private boolean open;
    private long probeAtNs;

    Breaker(LongSupplier nowNs, long probeNs) {
        this.nowNs = nowNs;
        this.probeNs = probeNs;
    }

    synchronized boolean closed() {
        return !open;
    }

    /** A frame came: the sidecar lives. */
    synchronized void heard() {
        strikes = 0;
        open = false;
    }

    /** A call heard nothing in time; true if this opened the breaker. */
    synchronized boolean silence() {
        return ++strikes >= STRIKES && trip();
    }

    /** Nobody is there at all; true if this opened the breaker. */
    synchronized boolean refused() {
        strikes = STRIKES;
        return trip();
    }

    /** Whether a probe is due; claims it. */
    synchronized boolean probe() {
        if (!open || nowNs.getAsLong() - probeAtNs < 0) {
            return false;
        }
        probeAtNs = nowNs.getAsLong() + probeNs;
        return true;
    }

    /** Makes the next probe due now: there is reason to think that the sidecar is back. */
    synchronized void probeNow() {
        probeAtNs = nowNs.getAsLong();
    }

    private boolean trip() {
        if (open) {
            return false;
        }
        open = true;
        probeAtNs = nowNs.getAsLong() + probeNs;
        return true;
    }
}
