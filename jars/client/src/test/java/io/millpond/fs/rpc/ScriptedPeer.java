package io.millpond.fs.rpc;

import io.millpond.fs.wire.Wire;
import java.io.Closeable;
import java.io.DataInputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.concurrent.CountDownLatch;
import java.util.function.Function;
import java.util.function.UnaryOperator;

/** A sidecar's side of the protocol on loopback TCP, answering as a test tells it to. */
final class ScriptedPeer implements Closeable {
    private final ServerSocket server;
    private volatile Socket client;
    private volatile Function<Wire.StatRequest, UnaryOperator<Wire.Reply.Builder>> onStat;
    private volatile Wire.Error helloError;
    private volatile long clockOffsetNs;
    private volatile int hellos;
    private volatile String lastToken;
    private volatile long lastFillId;
    private volatile CountDownLatch asked = new CountDownLatch(1);

    ScriptedPeer() throws IOException {
        server = new ServerSocket(0, 10, InetAddress.getLoopbackAddress());
        Thread thread = new Thread(this::serve, "scripted-peer");
        thread.setDaemon(true);
        thread.start();
    }

    int port() {
        return server.getLocalPort();
    }

    int hellos() {
        return hellos;
    }

    String lastToken() {
        return lastToken;
    }

    long lastFillId() {
        return lastFillId;
    }

    /** What to answer; a function that returns null never answers. */
    void onStat(Function<Wire.StatRequest, UnaryOperator<Wire.Reply.Builder>> answer) {
        onStat = answer;
    }

    void helloError(Wire.Error error) {
        helloError = error;
    }

    void clockOffsetNs(long offset) {
        clockOffsetNs = offset;
    }

    /** Opens when the next Stat or Fill arrives. */
    CountDownLatch asked() {
        asked = new CountDownLatch(1);
        return asked;
    }

    synchronized void send(long id, boolean more, UnaryOperator<Wire.Reply.Builder> outcome)
            throws IOException {
        Wire.Reply.Builder reply = Wire.Reply.newBuilder().setId(id).setMore(more);
        byte[] body = outcome.apply(reply).build().toByteArray();
        ByteBuffer frame = ByteBuffer.allocate(4 + body.length).order(ByteOrder.LITTLE_ENDIAN);
        OutputStream out = client.getOutputStream();
        out.write(frame.putInt(body.length).put(body).array());
        out.flush();
    }

    private void serve() {
        while (!server.isClosed()) {
            try (Socket accepted = server.accept()) {
                client = accepted;
                converse(new DataInputStream(accepted.getInputStream()));
            } catch (IOException e) {
                // The client left, or the test closed this peer.
            }
        }
    }

    private void converse(DataInputStream in) throws IOException {
        while (true) {
            byte[] body = new byte[Integer.reverseBytes(in.readInt())];
            in.readFully(body);
            Wire.Request request = Wire.Request.parseFrom(body);
            if (request.hasHello()) {
                hello(request);
            } else if (request.hasStat()) {
                UnaryOperator<Wire.Reply.Builder> answer = onStat.apply(request.getStat());
                asked.countDown();
                if (answer != null) {
                    send(request.getId(), false, answer);
                }
            } else if (request.hasFill()) {
                lastFillId = request.getId();
                asked.countDown();
            } else if (request.hasReport()) {
                Wire.ReportReply done = Wire.ReportReply.getDefaultInstance();
                send(request.getId(), false, reply -> reply.setReport(done));
            }
        }
    }

    private void hello(Wire.Request request) throws IOException {
        hellos++;
        lastToken = request.getHello().getToken().toStringUtf8();
        if (helloError != null) {
            send(request.getId(), false, reply -> reply.setError(helloError));
            return;
        }
        Wire.HelloReply hello =
                Wire.HelloReply.newBuilder()
                        .setProtocol(1)
                        .setMonotonicNs(System.nanoTime() + clockOffsetNs)
                        .setBootId(request.getHello().getBootId())
                        .build();
        send(request.getId(), false, reply -> reply.setHello(hello));
    }

    @Override
    public void close() throws IOException {
        server.close();
        Socket open = client;
        if (open != null) {
            open.close();
        }
    }

    /** This JVM's identity. */
    static final class Here implements Sidecar.Identity {
        private final Runnable greeted;

        Here(Runnable greeted) {
            this.greeted = greeted;
        }

        @Override
        public void greeted() {
            greeted.run();
        }

        @Override
        public String name() {
            return "test";
        }

        @Override
        public byte[] bootId() {
            return new byte[16];
        }

        @Override
        public long monotonicNs() {
            return System.nanoTime();
        }
    }
}
