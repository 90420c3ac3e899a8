package io.millpond.fs.local;

import io.millpond.fs.MillpondException;
import java.nio.ByteBuffer;
import java.util.Arrays;

/** One version of one file: what an open needs. The content of a small file is inside. */
public final class Meta {
    private static final int FIXED_BYTES = 96;
    private static final int INLINE = 1;
    private static final int WEAK = 2;
    private static final int PENDING = 4;
    private static final int OVERHEAD_BYTES = 400;
    private static final String BORN = "born:";

    private final String storePath;
    private final FileId fileId;
    private final String version;
    private final String storeVersion;
    private final long length;
    private final long mtimeMs;
    private final long validatedNs;
    private final BootId bootId;
    private final int flags;
    private final byte[] places;
    private final byte[] content;

    private Meta(
            ByteBuffer view,
            String storePath,
            String version,
            String storeVersion,
            byte[] places,
            byte[] content) {
        this.storePath = storePath;
        this.version = version;
        this.storeVersion = storeVersion;
        this.places = places;
        this.content = content;
        fileId = FileId.of(view.array(), 16);
        length = view.getLong(32);
        mtimeMs = view.getLong(40);
        validatedNs = view.getLong(48);
        bootId = BootId.of(view.array(), 56);
        flags = view.getInt(72);
    }

    private Meta(Meta other, byte[] content) {
        storePath = other.storePath;
        version = other.version;
        storeVersion = other.storeVersion;
        places = other.places;
        fileId = other.fileId;
        length = other.length;
        mtimeMs = other.mtimeMs;
        validatedNs = other.validatedNs;
        bootId = other.bootId;
        flags = other.flags;
        this.content = content;
    }

    /** Throws UnknownFormat, or Corrupt for whatever else is wrong. */
    public static Meta parse(byte[] data) throws MillpondException {
        ByteBuffer view = Record.check(data, "MPONDMET", FIXED_BYTES);
        int[] parts = new int[5];
        long size = FIXED_BYTES + Record.CRC_BYTES;
        for (int i = 0; i < parts.length; i++) {
            parts[i] = view.getInt(76 + 4 * i);
            size += parts[i] & 0xffffffffL;
        }
        if (size != data.length) {
            throw Record.corrupt("meta record contradicts itself", "part lengths");
        }
        int atVersion = FIXED_BYTES + parts[0];
        int atStore = atVersion + parts[1];
        int atPlaces = atStore + parts[4];
        int atContent = atPlaces + parts[2];
        boolean inline = (view.getInt(72) & INLINE) != 0;
        long length = view.getLong(32);
        if (length < 0) {
            throw Record.corrupt("meta record is out of range", "length " + length);
        }
        if (inline && (parts[3] != length || parts[3] > Layout.INLINE_FILE_BYTES)) {
            throw Record.corrupt("meta record contradicts itself", "inline length");
        }
        return new Meta(
                view,
                Record.text(data, FIXED_BYTES, parts[0]),
                Record.text(data, atVersion, parts[1]),
                Record.text(data, atStore, parts[4]),
                Arrays.copyOfRange(data, atPlaces, atContent),
                inline ? Arrays.copyOfRange(data, atContent, atContent + parts[3]) : null);
    }

    public String storePath() {
        return storePath;
    }

    public FileId fileId() {
        return fileId;
    }

    /** What the store calls this content, or a name from here where it was born here. */
    public String version() {
        return version;
    }

    /** Whether a version got its name here, and not from a store. */
    public static boolean isBorn(String version) {
        return version.startsWith(BORN);
    }

    /** What the store calls a version that was born here; empty for others, and while pending. */
    public String storeVersion() {
        return storeVersion;
    }

    /** Whether the store does not have this content yet. */
    public boolean pending() {
        return (flags & PENDING) != 0;
    }

    public long length() {
        return length;
    }

    public long mtimeMs() {
        return mtimeMs;
    }

    /** When this file alone was last validated, on the clock of {@link #bootId}. */
    public long validatedNs() {
        return validatedNs;
    }

    public BootId bootId() {
        return bootId;
    }

    /** Whether the version can't tell all changes apart: such a file is not cached. */
    public boolean weak() {
        return (flags & WEAK) != 0;
    }

    /** Whether the record on disk holds the whole file. */
    public boolean inline() {
        return (flags & INLINE) != 0;
    }

    /** The disk that holds the blocks of the section around {@code position}; 0: the cache dir. */
    public int place(long position) {
        long section = position / Layout.SECTION_BYTES;
        return section < places.length ? places[(int) section] & 0xff : 0;
    }

    /** A read-only view of the whole file, or null where it is not inline. */
    public ByteBuffer content() {
        return content == null ? null : ByteBuffer.wrap(content).asReadOnlyBuffer();
    }

    /** Copies bytes of the inline content: at most {@code length}, -1 at its end. */
    public int read(long position, byte[] target, int offset, int length) {
        if (content == null) {
            throw new IllegalStateException("not inline");
        }
        if (position >= content.length) {
            return -1;
        }
        int count = (int) Math.min(length, content.length - position);
        System.arraycopy(content, (int) position, target, offset, count);
        return count;
    }

    /** The same without its content, which is then read from disk again when wanted. */
    Meta bare() {
        return content == null ? this : new Meta(this, null);
    }

    /** Whether the content should be here and is not. */
    boolean stripped() {
        return inline() && content == null;
    }

    /** About what this object takes in memory. */
    int weightBytes() {
        int text = 2 * (storePath.length() + version.length() + storeVersion.length());
        return OVERHEAD_BYTES + text + places.length + (content == null ? 0 : content.length);
    }
}
