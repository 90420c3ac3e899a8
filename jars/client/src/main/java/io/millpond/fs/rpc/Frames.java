package io.millpond.fs.rpc;

import io.millpond.fs.FrameTooLargeException;
import io.millpond.fs.InvalidRequestException;
import io.millpond.fs.wire.Wire;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.ReadableByteChannel;
import java.util.Arrays;

/** Frames of the local protocol: a little-endian u32 length, then one message. */
final class Frames {
    static final int MAX_BYTES = 8 << 20;
    private static final int HEAD_BYTES = 4;

    private Frames() {}

    /** A request as it goes on the wire, ready to be written. */
    static ByteBuffer encode(Wire.Request request) throws IOException {
        byte[] body = request.toByteArray();
        if (body.length > MAX_BYTES) {
            throw tooLarge(body.length);
        }
        ByteBuffer frame = ByteBuffer.allocateDirect(HEAD_BYTES + body.length);
        frame.order(ByteOrder.LITTLE_ENDIAN).putInt(body.length).put(body).flip();
        return frame;
    }

    private static FrameTooLargeException tooLarge(long bytes) {
        return new FrameTooLargeException(
                "a frame of " + bytes + " bytes", "the limit is " + MAX_BYTES, "");
    }

    /** Reads replies from a channel; for one thread. */
    static final class Reader {
        private static final int CHUNK_BYTES = 256 << 10;

        private final ReadableByteChannel channel;
        private final ByteBuffer chunk = ByteBuffer.allocateDirect(CHUNK_BYTES);

        Reader(ReadableByteChannel channel) {
            this.channel = channel;
            chunk.order(ByteOrder.LITTLE_ENDIAN).limit(0);
        }

        /** The next reply, or null where the peer closed between frames. */
        Wire.Reply next() throws IOException {
            if (!ensureHead()) {
                return null;
            }
            long size = Integer.toUnsignedLong(chunk.getInt());
            if (size > MAX_BYTES) {
                throw tooLarge(size);
            }
            byte[] body = body((int) size);
            try {
                return Wire.Reply.parseFrom(body);
            } catch (com.google.protobuf.InvalidProtocolBufferException e) {
                throw new InvalidRequestException("a frame does not parse", e.getMessage(), "");
            }
        }

        private boolean ensureHead() throws IOException {
            while (chunk.remaining() < HEAD_BYTES) {
                boolean between = !chunk.hasRemaining();
                chunk.compact();
                int count = channel.read(chunk);
                chunk.flip();
                if (count < 0) {
                    if (between) {
                        return false;
                    }
                    throw cut();
                }
            }
            return true;
        }

        /** Memory is taken as bytes arrive, so that a length alone allocates little. */
        private byte[] body(int size) throws IOException {
            byte[] body = new byte[Math.min(size, CHUNK_BYTES)];
            int at = 0;
            while (at < size) {
                if (!chunk.hasRemaining()) {
                    chunk.clear();
                    int count = channel.read(chunk);
                    chunk.flip();
                    if (count < 0) {
                        throw cut();
                    }
                }
                int part = Math.min(chunk.remaining(), size - at);
                if (at + part > body.length) {
                    body = Arrays.copyOf(body, Math.min(size, Math.max(at + part, at * 4)));
                }
                chunk.get(body, at, part);
                at += part;
            }
            return body;
        }

        private static EOFException cut() {
            return new EOFException("the sidecar closed the connection within a frame");
        }
    }
}
