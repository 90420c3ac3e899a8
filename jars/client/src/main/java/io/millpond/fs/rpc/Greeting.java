package io.millpond.fs.rpc;

import com.google.protobuf.ByteString;
import io.millpond.fs.SidecarUnavailableException;
import io.millpond.fs.wire.Wire;
import java.io.IOException;
import java.util.Arrays;

/** One attempt to reach the sidecar: connect, Hello, compare protocols and clocks. */
final class Greeting {
    static final int PROTOCOL_MIN = 1;
    static final int PROTOCOL_MAX = 1;

    private final Sidecar.Directory directory;
    private final Sidecar.Identity identity;
    private boolean clocksAgree;

    Greeting(Sidecar.Directory directory, Sidecar.Identity identity) {
        this.directory = directory;
        this.identity = identity;
    }

    /** Whether the sidecar's clock and boot were ours; known after {@link #connect}. */
    boolean clocksAgree() {
        return clocksAgree;
    }

    /**
     * A connection that has been greeted. Blocks as long as the sidecar does.
     *
     * @throws SidecarTrouble with the reason
     */
    Connection connect(Runnable heard, Runnable silent) throws IOException {
        Endpoint endpoint;
        Connection made;
        try {
            endpoint = directory.endpoint();
            made = new Connection(endpoint.connect(), heard, silent);
        } catch (IOException e) {
            SidecarUnavailableException typed =
                    new SidecarUnavailableException(
                            "no sidecar answers on this node",
                            e.toString(),
                            "Start it with 'millpond serve'");
            throw new SidecarTrouble(Fallback.SIDECAR_ABSENT, typed);
        }
        try {
            hello(made, endpoint);
            return made;
        } catch (IOException e) {
            SidecarTrouble trouble =
                    e instanceof SidecarTrouble
                            ? (SidecarTrouble) e
                            : new SidecarTrouble(Fallback.SIDECAR_GONE, e);
            made.close(trouble);
            throw trouble;
        }
    }

    private void hello(Connection made, Endpoint endpoint) throws IOException {
        long before = identity.monotonicNs();
        Wire.HelloRequest.Builder hello =
                Wire.HelloRequest.newBuilder()
                        .setProtocolMin(PROTOCOL_MIN)
                        .setProtocolMax(PROTOCOL_MAX)
                        .setClient(identity.name())
                        .setToken(ByteString.copyFrom(endpoint.token()))
                        .setSecret(ByteString.copyFrom(endpoint.secret()))
                        .setMonotonicNs(before)
                        .setBootId(ByteString.copyFrom(identity.bootId()));
        Wire.Reply reply = made.hello(Wire.Request.newBuilder().setHello(hello).build());
        long after = identity.monotonicNs();
        if (reply.hasError()) {
            throw RemoteErrors.of(reply.getError());
        }
        if (!reply.hasHello()) {
            throw new SidecarTrouble(Fallback.SIDECAR_ERROR, "the answer to Hello is another's");
        }
        Wire.HelloReply answer = reply.getHello();
        long theirs = answer.getMonotonicNs();
        clocksAgree =
                before <= theirs
                        && theirs <= after
                        && Arrays.equals(answer.getBootId().toByteArray(), identity.bootId());
    }
}
