package io.millpond.fs.local;

import io.millpond.fs.CorruptException;
import io.millpond.fs.MillpondException;
import io.millpond.fs.UnknownFormatException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** The frame every small file has: magic, format version, length, and a CRC32C at the end. */
final class Record {
    static final int FORMAT = 1;
    static final int HEAD_BYTES = 16;
    static final int CRC_BYTES = 4;

    private Record() {}

    /** A little-endian view of a record whose frame was found good; throws a typed error else. */
    static ByteBuffer check(byte[] data, String magic, int fixedBytes) throws MillpondException {
        ByteBuffer view = ByteBuffer.wrap(data).order(ByteOrder.LITTLE_ENDIAN);
        byte[] expected = magic.getBytes(StandardCharsets.US_ASCII);
        if (data.length < HEAD_BYTES || !Arrays.equals(data, 0, 8, expected, 0, 8)) {
            throw corrupt("not a " + magic + " record", "short or wrong magic");
        }
        if (view.getInt(8) != FORMAT) {
            throw new UnknownFormatException(
                    magic + " record of format " + Integer.toUnsignedString(view.getInt(8)),
                    "known: " + FORMAT,
                    "Use a jar and a sidecar of one release");
        }
        int size = view.getInt(12);
        if (size != data.length
                || size < fixedBytes + CRC_BYTES
                || size > Layout.MAX_RECORD_BYTES) {
            throw corrupt(
                    magic + " record is cut", "says " + size + ", has " + data.length + " bytes");
        }
        int body = size - CRC_BYTES;
        if (view.getInt(body) != Crc.of(data, 0, body)) {
            throw corrupt(magic + " record fails its checksum", "");
        }
        return view;
    }

    /** UTF-8 text of a record; Corrupt where it is not. */
    static String text(byte[] data, int from, int length) throws MillpondException {
        try {
            return StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(data, from, length))
                    .toString();
        } catch (CharacterCodingException e) {
            throw corrupt("record holds text that is not UTF-8", String.valueOf(e.getMessage()));
        }
    }

    static CorruptException corrupt(String problem, String cause) {
        return new CorruptException(problem, cause, "It is treated as absent");
    }
}
