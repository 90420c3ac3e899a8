package io.millpond.fs.local;

import io.millpond.fs.MillpondException;
import java.nio.ByteBuffer;

/** While it holds, what meta and directory stamps say holds: the sidecar renews it each second. */
public final class Lease {
    private static final int FIXED_BYTES = 80;

    private final long renewedNs;
    private final long validForNs;
    private final BootId bootId;
    private final long instance;
    private final long epochsId;
    private final int pid;
    private final int protocolMin;
    private final int protocolMax;

    private Lease(ByteBuffer view) {
        renewedNs = view.getLong(16);
        validForNs = view.getLong(24);
        bootId = BootId.of(view.array(), 32);
        instance = view.getLong(48);
        epochsId = view.getLong(56);
        pid = view.getInt(64);
        protocolMin = view.getShort(68) & 0xffff;
        protocolMax = view.getShort(70) & 0xffff;
    }

    /** Throws UnknownFormat, or Corrupt for whatever else is wrong. */
    public static Lease parse(byte[] data) throws MillpondException {
        return new Lease(Record.check(data, "MPONDLSE", FIXED_BYTES));
    }

    /** Whether it holds at {@code nowNs} of this boot's monotonic clock. */
    public boolean good(long nowNs, BootId boot) {
        long age = nowNs - renewedNs;
        return age >= 0 && age <= validForNs && bootId.equals(boot);
    }

    public long renewedNs() {
        return renewedNs;
    }

    public long validForNs() {
        return validForNs;
    }

    public BootId bootId() {
        return bootId;
    }

    /** A random number per start of the sidecar. */
    public long instance() {
        return instance;
    }

    public long epochsId() {
        return epochsId;
    }

    public int pid() {
        return pid;
    }

    public int protocolMin() {
        return protocolMin;
    }

    public int protocolMax() {
        return protocolMax;
    }
}
