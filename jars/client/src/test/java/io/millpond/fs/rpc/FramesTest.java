package io.millpond.fs.rpc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.google.protobuf.ByteString;
import io.millpond.fs.FrameTooLargeException;
import io.millpond.fs.InvalidRequestException;
import io.millpond.fs.wire.Wire;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.Channels;
import java.nio.channels.ReadableByteChannel;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

final class FramesTest {
    private static byte[] framed(byte[] body) {
        ByteBuffer frame = ByteBuffer.allocate(4 + body.length).order(ByteOrder.LITTLE_ENDIAN);
        return frame.putInt(body.length).put(body).array();
    }

    private static Wire.Reply reply(long id, int bytes) {
        ByteString data = ByteString.copyFrom(new byte[bytes]);
        Wire.FillReply fill = Wire.FillReply.newBuilder().setData(data).build();
        return Wire.Reply.newBuilder().setId(id).setFill(fill).build();
    }

    /** A channel that gives out its bytes in pieces of random size, as a socket may. */
    private static ReadableByteChannel pieces(byte[] bytes, Random random) {
        ByteArrayInputStream in = new ByteArrayInputStream(bytes);
        return new ReadableByteChannel() {
            @Override
            public int read(ByteBuffer dst) {
                byte[] piece = new byte[Math.min(dst.remaining(), 1 + random.nextInt(100_000))];
                int count = in.read(piece, 0, piece.length);
                if (count > 0) {
                    dst.put(piece, 0, count);
                }
                return count;
            }

            @Override
            public boolean isOpen() {
                return true;
            }

            @Override
            public void close() {}
        };
    }

    @Test
    void anySequenceOfRepliesArrivesWhole() throws IOException {
        Random random = new Random(11);
        for (int round = 0; round < 20; round++) {
            List<Wire.Reply> sent = new ArrayList<>();
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            for (int i = 0; i < 10; i++) {
                int[] sizes = {0, 1, 1000, 262_144, 700_000, 1 << 20};
                Wire.Reply reply = reply(i, sizes[random.nextInt(sizes.length)]);
                sent.add(reply);
                out.write(framed(reply.toByteArray()));
            }
            Frames.Reader reader = new Frames.Reader(pieces(out.toByteArray(), random));
            for (Wire.Reply expected : sent) {
                assertEquals(expected, reader.next());
            }
            assertNull(reader.next(), "the end between two frames is an end");
        }
    }

    @Test
    void aRequestIsALengthAndAMessage() throws IOException {
        Wire.Request request =
                Wire.Request.newBuilder()
                        .setId(3)
                        .setStat(Wire.StatRequest.newBuilder().setPath("/a"))
                        .build();
        ByteBuffer frame = Frames.encode(request).order(ByteOrder.LITTLE_ENDIAN);
        assertEquals(frame.remaining() - 4, frame.getInt());
        assertEquals(request, Wire.Request.parseFrom(frame));
    }

    @Test
    void aLengthAboveTheCapIsRefused() {
        byte[] head = ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt(-1).array();
        Frames.Reader reader = reader(head);
        assertThrows(FrameTooLargeException.class, reader::next);
    }

    @Test
    void aCutFrameAndGarbageAreErrors() {
        byte[] good = framed(reply(1, 500).toByteArray());
        Frames.Reader cut = reader(java.util.Arrays.copyOf(good, good.length - 1));
        assertThrows(EOFException.class, cut::next);
        Frames.Reader head = reader(java.util.Arrays.copyOf(good, 2));
        assertThrows(EOFException.class, head::next);
        Frames.Reader garbage = reader(framed(new byte[] {(byte) 0xff, (byte) 0xff, 1, 2, 3}));
        assertThrows(InvalidRequestException.class, garbage::next);
    }

    private static Frames.Reader reader(byte[] bytes) {
        return new Frames.Reader(Channels.newChannel(new ByteArrayInputStream(bytes)));
    }
}
