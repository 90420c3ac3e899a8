package io.millpond.fs.local;

import io.millpond.fs.UnknownFormatException;
import java.io.IOException;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;

/** The counters in shared memory that tell when a copy of a meta or directory stamp is outdated. */
final class Epochs {
    private static final VarHandle COUNTER =
            MethodHandles.byteBufferViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);

    private final ByteBuffer table;
    private final long id;

    private Epochs(ByteBuffer table) throws IOException {
        byte[] magic = new byte[8];
        table.duplicate().get(magic);
        ByteBuffer head = table.duplicate().order(ByteOrder.LITTLE_ENDIAN);
        if (!Arrays.equals(magic, "MPONDEPO".getBytes(StandardCharsets.US_ASCII))) {
            throw Record.corrupt("not an epochs file", "wrong magic");
        }
        if (head.getInt(8) != Record.FORMAT || head.getInt(12) != Layout.EPOCH_SLOTS) {
            throw new UnknownFormatException("epochs file of another format version", "", "");
        }
        this.table = table;
        this.id = head.getLong(16);
    }

    /** Maps the file; it stays readable after the file was removed or replaced. */
    static Epochs map(Path file) throws IOException {
        long size = Layout.EPOCHS_HEADER_BYTES + 8L * Layout.EPOCH_SLOTS;
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            if (channel.size() < size) {
                throw Record.corrupt("not an epochs file", "short");
            }
            return new Epochs(channel.map(FileChannel.MapMode.READ_ONLY, 0, size));
        }
    }

    long id() {
        return id;
    }

    /** The counter of a slot, ordered before every later read. */
    long counter(int slot) {
        return (long) COUNTER.getVolatile(table, Layout.EPOCHS_HEADER_BYTES + 8 * slot);
    }
}
