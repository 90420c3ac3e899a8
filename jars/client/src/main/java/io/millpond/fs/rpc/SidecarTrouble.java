package io.millpond.fs.rpc;

import java.io.IOException;

/** The sidecar could not do its part; the caller reads the store. Never reaches the user alone. */
public final class SidecarTrouble extends IOException {
    private static final long serialVersionUID = 1;

    private final Fallback reason;

    public SidecarTrouble(Fallback reason, String detail) {
        super(detail);
        this.reason = reason;
    }

    /** {@code cause} is the typed error the sidecar named. */
    public SidecarTrouble(Fallback reason, Exception cause) {
        super(cause.getMessage(), cause);
        this.reason = reason;
    }

    /** The same, as met by another caller: with a stack and suppressed errors of its own. */
    SidecarTrouble again() {
        return getCause() instanceof Exception
                ? new SidecarTrouble(reason, (Exception) getCause())
                : new SidecarTrouble(reason, getMessage());
    }

    public Fallback reason() {
        return reason;
    }
}
