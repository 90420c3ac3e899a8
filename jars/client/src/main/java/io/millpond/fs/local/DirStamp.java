package io.millpond.fs.local;

import io.millpond.fs.MillpondException;
import java.nio.ByteBuffer;

/** When a directory was last validated by a LIST, and from which meta stamps on it speaks. */
public final class DirStamp {
    private static final int FIXED_BYTES = 56;

    private final String storePath;
    private final long validatedNs;
    private final long coversFromNs;
    private final BootId bootId;

    private DirStamp(ByteBuffer view, String storePath) {
        this.storePath = storePath;
        validatedNs = view.getLong(16);
        coversFromNs = view.getLong(24);
        bootId = BootId.of(view.array(), 32);
    }

    /** Throws UnknownFormat, or Corrupt for whatever else is wrong. */
    public static DirStamp parse(byte[] data) throws MillpondException {
        ByteBuffer view = Record.check(data, "MPONDDIR", FIXED_BYTES);
        int path = view.getInt(48);
        if (FIXED_BYTES + (path & 0xffffffffL) + Record.CRC_BYTES != data.length) {
            throw Record.corrupt("directory stamp contradicts itself", "part lengths");
        }
        return new DirStamp(view, Record.text(data, FIXED_BYTES, path));
    }

    public String storePath() {
        return storePath;
    }

    public long validatedNs() {
        return validatedNs;
    }

    /** The stamp speaks for metas validated at or after this. */
    public long coversFromNs() {
        return coversFromNs;
    }

    public BootId bootId() {
        return bootId;
    }
}
