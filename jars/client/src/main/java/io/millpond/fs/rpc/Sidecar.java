package io.millpond.fs.rpc;

import com.google.protobuf.ByteString;
import io.millpond.fs.wire.Wire;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.LongSupplier;

/**
 * This process's one line to its node's sidecar: connects when first asked, again after a restart,
 * and knows when not to ask. Calls throw the sidecar's typed errors where they are the user's to
 * see, else {@link SidecarTrouble}; thread-safe, and safe to interrupt.
 */
public final class Sidecar implements AutoCloseable {
    /** Finds the sidecar's address; asked at each attempt, since a restart may move it. */
    public interface Directory {
        Endpoint endpoint() throws IOException;
    }

    private static final long WRITE_SILENCE_NS = TimeUnit.SECONDS.toNanos(10);

    private final Directory directory;
    private final Identity identity;
    private final Counters counters;
    private final LongSupplier nowNs;
    private final long silenceNs;
    private final Breaker breaker;
    private final Patience patience = new Patience();
    private CompletableFuture<Connection> attempt;
    private volatile Connection connection;
    private volatile boolean clocksAgree;
    /** Why the last attempt to connect failed; null after one that did not. */
    private volatile SidecarTrouble refusal;
    private volatile boolean closed;

    public Sidecar(
            Directory directory,
            Identity identity,
            Counters counters,
            LongSupplier nowNs,
            long silenceNs,
            long probeNs) {
        this.directory = directory;
        this.identity = identity;
        this.counters = counters;
        this.nowNs = nowNs;
        this.silenceNs = silenceNs;
        this.breaker = new Breaker(nowNs, probeNs);
    }

    /** Whether a call would be tried now: false while the breaker is open. */
    public boolean usable() {
        return breaker.closed();
    }

    /**
     * Whether the sidecar's clock was found to be ours, so that its lease and stamps mean something
     * here. Connects if that was never asked; false while nobody answers.
     */
    public boolean clocksAgree() {
        if (!clocksAgree && connection == null && breaker.closed()) {
            try {
                connected();
            } catch (IOException e) {
                return false;
            }
        }
        return clocksAgree;
    }

    /** The file or directory at a path of the namespace; {@code force}: ask the store now. */
    public Wire.FileInfo stat(String path, boolean force) throws IOException {
        Wire.StatRequest.Builder stat = Wire.StatRequest.newBuilder().setPath(path).setForce(force);
        Wire.Request.Builder request = Wire.Request.newBuilder().setStat(stat);
        Wire.Reply reply = answer(request, Counters.Name.STATS).get(0);
        if (!reply.hasStat()) {
            throw unexpected("Stat");
        }
        return reply.getStat();
    }

    /** A validated listing: the frames as they came, the first with the directory itself. */
    public List<Wire.ListReply> list(String path, boolean recursive) throws IOException {
        Wire.ListRequest.Builder list =
                Wire.ListRequest.newBuilder().setPath(path).setRecursive(recursive);
        Wire.Request.Builder request = Wire.Request.newBuilder().setList(list);
        List<Wire.ListReply> frames = new ArrayList<>();
        for (Wire.Reply reply : answer(request, Counters.Name.LISTS)) {
            if (!reply.hasList()) {
                throw unexpected("List");
            }
            frames.add(reply.getList());
        }
        return frames;
    }

    /** Has the sidecar forget what it knows of paths; {@code tree}: and of all below them. */
    public void invalidate(List<String> paths, boolean tree) throws IOException {
        Wire.InvalidateRequest.Builder invalidate =
                Wire.InvalidateRequest.newBuilder().addAllPaths(paths).setTree(tree);
        Wire.Request.Builder request = Wire.Request.newBuilder().setInvalidate(invalidate);
        if (!answer(request, Counters.Name.INVALIDATIONS).get(0).hasInvalidate()) {
            throw unexpected("Invalidate");
        }
    }

    /**
     * Asks for a change, which may take as long as a store takes: it is given up only when nothing
     * at all is heard for {@link #WRITE_SILENCE_NS}, for by then it may have been done.
     */
    Wire.Reply change(Wire.Request.Builder request, Counters.Name verb) throws IOException {
        AnswerCall call = new AnswerCall(nowNs, Math.max(silenceNs, WRITE_SILENCE_NS));
        connected().send(request, call);
        counters.add(verb, 1);
        return call.get().get(0);
    }

    /** Starts a Fill and returns at once; its ranges are ascending. */
    public FillCall fill(Wire.FillRequest request) throws IOException {
        FillCall call = new FillCall(nowNs, silenceNs, request.getRangesList());
        call.accountTo(patience);
        connected().send(Wire.Request.newBuilder().setFill(request), call);
        counters.add(Counters.Name.FILLS, 1);
        return call;
    }

    /** Says that a stream is closed, so that its window is not fetched further; never fails. */
    public void closeStream(String path, ByteString fileId, long stream) {
        Connection live = connection;
        if (live == null || !live.alive() || !breaker.closed()) {
            return;
        }
        Wire.FillRequest request =
                Wire.FillRequest.newBuilder()
                        .setPath(path)
                        .setFileId(fileId)
                        .setStream(stream)
                        .build();
        try {
            live.send(
                    Wire.Request.newBuilder().setFill(request), new AnswerCall(nowNs, silenceNs));
        } catch (IOException e) {
            // Only saves the sidecar work; it will notice by itself.
        }
    }

    /** Sends a report; false where it could not be sent. {@code await}: until it is answered. */
    public boolean report(Wire.ReportRequest report, boolean await) {
        Connection live = connection;
        if (live == null || !live.alive() || !breaker.closed()) {
            return false;
        }
        AnswerCall call = post(live, report);
        try {
            if (await && call != null) {
                call.get();
            }
            return call != null;
        } catch (IOException e) {
            return false;
        }
    }

    /** Probes a sidecar that was given up, where a probe is due; called about once a second. */
    public void tick() {
        if (closed || !breaker.probe()) {
            return;
        }
        Connection live = connection;
        if (live != null && live.alive()) {
            post(live, Wire.ReportRequest.getDefaultInstance());
        } else {
            attempt();
        }
    }

    /** There is a sign of life (a new lease): probe at the next tick. */
    public void probeSoon() {
        breaker.probeNow();
    }

    /** The longest time that this process spent waiting for a sidecar which did not answer. */
    public long decideMs() {
        return TimeUnit.NANOSECONDS.toMillis(patience.longestNs());
    }

    @Override
    public void close() {
        closed = true;
        Connection live = connection;
        if (live != null) {
            live.close(new SidecarTrouble(Fallback.SIDECAR_GONE, "the client is closed"));
        }
    }

    private AnswerCall post(Connection live, Wire.ReportRequest report) {
        AnswerCall call = new AnswerCall(nowNs, silenceNs);
        try {
            live.send(Wire.Request.newBuilder().setReport(report), call);
            return call;
        } catch (IOException e) {
            return null;
        }
    }

    private List<Wire.Reply> answer(Wire.Request.Builder request, Counters.Name verb)
            throws IOException {
        AnswerCall call = new AnswerCall(nowNs, silenceNs);
        call.accountTo(patience);
        connected().send(request, call);
        counters.add(verb, 1);
        return call.get();
    }

    private Connection connected() throws SidecarTrouble {
        if (!breaker.closed()) {
            SidecarTrouble why = refusal;
            throw why != null
                    ? why.again()
                    : new SidecarTrouble(Fallback.BREAKER_OPEN, "the sidecar fell silent");
        }
        Connection live = connection;
        if (live != null && live.alive()) {
            return live;
        }
        long from = nowNs.getAsLong();
        try {
            return attempt().get(silenceNs, TimeUnit.NANOSECONDS);
        } catch (TimeoutException e) {
            patience.lost(from, nowNs.getAsLong());
            silent();
            throw new SidecarTrouble(Fallback.SILENCE, "no answer to Hello");
        } catch (ExecutionException e) {
            patience.lost(from, nowNs.getAsLong());
            throw ((SidecarTrouble) e.getCause()).again();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new SidecarTrouble(Fallback.SILENCE, "interrupted while connecting");
        }
    }

    private void heard() {
        breaker.heard();
        patience.heard();
    }

    private void silent() {
        if (breaker.silence()) {
            Connection live = connection;
            if (live != null) {
                live.failAll(
                        new SidecarTrouble(Fallback.BREAKER_OPEN, "the sidecar fell silent"));
            }
        }
    }

    private synchronized CompletableFuture<Connection> attempt() {
        if (attempt == null) {
            CompletableFuture<Connection> made = new CompletableFuture<>();
            Thread reader = new Thread(() -> serve(made), "millpond-reader");
            reader.setDaemon(true);
            attempt = made;
            reader.start();
        }
        return attempt;
    }

    private synchronized void over() {
        attempt = null;
    }

    /** The life of one connection, on its reader thread: connect, Hello, deliver replies. */
    private void serve(CompletableFuture<Connection> made) {
        Connection mine;
        try {
            mine = open();
        } catch (IOException | RuntimeException | LinkageError e) {
            SidecarTrouble why =
                    e instanceof SidecarTrouble
                            ? (SidecarTrouble) e
                            : new SidecarTrouble(Fallback.SIDECAR_ABSENT, e.toString());
            refusal = why;
            breaker.refused();
            over();
            made.completeExceptionally(why);
            return;
        }
        refusal = null;
        connection = mine;
        heard();
        over();
        made.complete(mine);
        if (closed) {
            close();
        }
        mine.run();
    }

    private Connection open() throws IOException {
        counters.add(Counters.Name.HELLOS, 1);
        Greeting greeting = new Greeting(directory, identity);
        Connection made = greeting.connect(this::heard, this::silent);
        clocksAgree = greeting.clocksAgree();
        identity.greeted();
        return made;
    }

    private static SidecarTrouble unexpected(String verb) {
        return new SidecarTrouble(
                Fallback.SIDECAR_ERROR, "the answer to " + verb + " is of another kind");
    }

    /** Who this process is and what its clock says; the clock must be CLOCK_MONOTONIC. */
    public interface Identity {
        String name();

        byte[] bootId();

        long monotonicNs();

        /** A sidecar has answered Hello on a new connection; it may be another than the last. */
        default void greeted() {}
    }
}
