package io.millpond.fs.rpc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ByteString;
import io.millpond.fs.ErrorCode;
import io.millpond.fs.PathNotFoundException;
import io.millpond.fs.wire.Wire;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The connection against a peer that speaks the protocol over TCP as each test scripts it. */
@Timeout(30)
final class SidecarTest {
    private static final long SILENCE_NS = TimeUnit.MILLISECONDS.toNanos(300);
    private static final long PROBE_NS = TimeUnit.MILLISECONDS.toNanos(50);

    private final Counters counters = new Counters();
    private final AtomicInteger greeted = new AtomicInteger();
    private ScriptedPeer peer;
    private Sidecar sidecar;

    @BeforeEach
    void start() throws IOException {
        peer = new ScriptedPeer();
        sidecar = sidecar();
    }

    @AfterEach
    void stop() throws IOException {
        sidecar.close();
        peer.close();
    }

    private Sidecar sidecar() {
        return new Sidecar(
                () -> new Endpoint(null, "127.0.0.1", peer.port(), "secret".getBytes(), new byte[0]),
                new ScriptedPeer.Here(greeted::incrementAndGet),
                counters,
                System::nanoTime,
                SILENCE_NS,
                PROBE_NS);
    }

    private static Wire.FillRequest fill(long offset, long length) {
        Wire.Range range = Wire.Range.newBuilder().setOffset(offset).setLength(length).build();
        return Wire.FillRequest.newBuilder().setPath("/a").addRanges(range).build();
    }

    @Test
    void statIsOneRoundTripAfterHello() throws IOException {
        Wire.FileInfo info = Wire.FileInfo.newBuilder().setPath("/a").setLength(7).build();
        peer.onStat(request -> reply -> reply.setStat(info));
        assertEquals(info, sidecar.stat("/a", false));
        assertEquals(info, sidecar.stat("/a", false));
        assertEquals(1, peer.hellos());
        assertEquals("secret", peer.lastToken());
        assertTrue(sidecar.clocksAgree());
    }

    /** What was known of the last sidecar's lease is looked at again with each new one. */
    @Test
    void eachNewConnectionIsTold() throws IOException {
        peer.onStat(request -> reply -> reply.setStat(Wire.FileInfo.getDefaultInstance()));
        sidecar.stat("/a", false);
        sidecar.stat("/a", false);
        assertEquals(1, greeted.get());
        peer.close();
        assertThrows(SidecarTrouble.class, () -> sidecar.stat("/a", false));
        assertEquals(1, greeted.get());
        peer = new ScriptedPeer();
        peer.onStat(request -> reply -> reply.setStat(Wire.FileInfo.getDefaultInstance()));
        long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
        for (boolean answered = false; !answered; ) {
            assertTrue(System.nanoTime() < until, "the new sidecar was not asked");
            try {
                sidecar.stat("/a", false);
                answered = true;
            } catch (SidecarTrouble e) {
                sidecar.tick();
                Thread.onSpinWait();
            }
        }
        sidecar.stat("/a", false);
        assertEquals(2, greeted.get());
        assertEquals(1, peer.hellos());
    }

    @Test
    void aClockThatDiffersIsNoticed() {
        peer.clockOffsetNs(TimeUnit.HOURS.toNanos(1));
        assertFalse(sidecar.clocksAgree());
        assertTrue(sidecar.usable(), "it is asked at every open, not given up");
    }

    @Test
    void anErrorOfTheStoreIsTheUsersOthersAreTrouble() {
        peer.onStat(request -> reply -> reply.setError(error(ErrorCode.PATH_NOT_FOUND)));
        assertThrows(PathNotFoundException.class, () -> sidecar.stat("/a", false));
        peer.onStat(request -> reply -> reply.setError(error(ErrorCode.OVERLOADED)));
        SidecarTrouble trouble =
                assertThrows(SidecarTrouble.class, () -> sidecar.stat("/a", false));
        assertEquals(Fallback.OVERLOADED, trouble.reason());
    }

    @Test
    void protocolMismatchIsSaidAndGivesUp() {
        peer.helloError(error(ErrorCode.PROTOCOL_MISMATCH));
        SidecarTrouble trouble =
                assertThrows(SidecarTrouble.class, () -> sidecar.stat("/a", false));
        assertEquals(Fallback.PROTOCOL_MISMATCH, trouble.reason());
        assertFalse(sidecar.usable());
    }

    @Test
    void progressKeepsAFillAliveBeyondTheSilenceLimit() throws Exception {
        FillCall call = startFill(fill(0, 1000));
        long until = System.nanoTime() + 3 * SILENCE_NS;
        long ready = 0;
        while (System.nanoTime() < until) {
            peer.send(peer.lastFillId(), true, reply -> reply.setProgress(progress(10)));
            assertNull(call.await(ready == 0 ? 0 : 9));
            ready = 10;
            TimeUnit.NANOSECONDS.sleep(SILENCE_NS / 3);
        }
        peer.send(peer.lastFillId(), false, reply -> reply.setFill(present()));
        assertEquals(Wire.FillResult.PRESENT, call.await(999).getResult());
    }

    @Test
    void twoSilencesOpenTheBreakerAndAFrameClosesIt() throws Exception {
        peer.onStat(request -> null);
        long began = System.nanoTime();
        for (int i = 0; i < 2; i++) {
            SidecarTrouble trouble =
                    assertThrows(SidecarTrouble.class, () -> sidecar.stat("/a", false));
            assertEquals(Fallback.SILENCE, trouble.reason());
        }
        SidecarTrouble refused =
                assertThrows(SidecarTrouble.class, () -> sidecar.stat("/a", false));
        assertEquals(Fallback.BREAKER_OPEN, refused.reason());
        assertTrue(System.nanoTime() - began < 4 * SILENCE_NS, "decided in two limits");
        peer.onStat(request -> reply -> reply.setStat(Wire.FileInfo.getDefaultInstance()));
        awaitUsable();
        sidecar.stat("/a", false);
    }

    @Test
    void openCallsEndWhenTheBreakerOpens() throws Exception {
        FillCall waiting = startFill(fill(0, 1000));
        peer.onStat(request -> null);
        for (int i = 0; i < 2; i++) {
            assertThrows(SidecarTrouble.class, () -> sidecar.stat("/a", false));
        }
        long began = System.nanoTime();
        assertThrows(SidecarTrouble.class, () -> waiting.await(0));
        assertTrue(System.nanoTime() - began < SILENCE_NS / 2, "it does not wait for itself");
    }

    @Test
    void aRestartIsMetByANewConnection() throws Exception {
        peer.onStat(request -> reply -> reply.setStat(Wire.FileInfo.getDefaultInstance()));
        sidecar.stat("/a", false);
        FillCall open = startFill(fill(0, 1000));
        peer.close();
        SidecarTrouble gone = assertThrows(SidecarTrouble.class, () -> open.await(0));
        assertEquals(Fallback.SIDECAR_GONE, gone.reason());
        SidecarTrouble absent =
                assertThrows(SidecarTrouble.class, () -> sidecar.stat("/a", false));
        assertEquals(Fallback.SIDECAR_ABSENT, absent.reason());
        assertFalse(sidecar.usable());
        peer = new ScriptedPeer();
        peer.onStat(request -> reply -> reply.setStat(Wire.FileInfo.getDefaultInstance()));
        awaitUsable();
        sidecar.stat("/a", false);
        assertEquals(1, peer.hellos());
    }

    @Test
    void anInterruptedCallerLeavesTheConnectionOpen() throws Exception {
        peer.onStat(request -> null);
        CountDownLatch asked = peer.asked();
        AtomicReference<IOException> seen = new AtomicReference<>();
        Thread task =
                new Thread(
                        () -> {
                            try {
                                sidecar.stat("/a", false);
                            } catch (IOException e) {
                                seen.set(e);
                            }
                        });
        task.start();
        asked.await();
        task.interrupt();
        task.join();
        assertTrue(seen.get() instanceof InterruptedIOException, String.valueOf(seen.get()));
        peer.onStat(request -> reply -> reply.setStat(Wire.FileInfo.getDefaultInstance()));
        sidecar.stat("/a", false);
        assertEquals(1, peer.hellos(), "the same connection");
    }

    @Test
    void inlineBytesComeWithTheReply() throws Exception {
        FillCall call = startFill(fill(100, 5));
        Wire.FillReply inline =
                Wire.FillReply.newBuilder()
                        .setResult(Wire.FillResult.INLINE)
                        .setData(ByteString.copyFromUtf8("bytes"))
                        .build();
        peer.send(peer.lastFillId(), false, reply -> reply.setFill(inline));
        assertEquals("bytes", call.await(4).getData().toStringUtf8());
        assertTrue(call.covers(104));
        assertFalse(call.covers(105));
    }

    private FillCall startFill(Wire.FillRequest request) throws Exception {
        CountDownLatch asked = peer.asked();
        FillCall call = sidecar.fill(request);
        asked.await();
        return call;
    }

    private void awaitUsable() throws InterruptedException {
        while (!sidecar.usable()) {
            sidecar.tick();
            TimeUnit.MILLISECONDS.sleep(5);
        }
    }

    private static Wire.Progress progress(long ready) {
        return Wire.Progress.newBuilder().setReady(ready).build();
    }

    private static Wire.FillReply present() {
        return Wire.FillReply.getDefaultInstance();
    }

    private static Wire.Error error(ErrorCode code) {
        return Wire.Error.newBuilder().setCode(code.code()).setProblem("scripted").build();
    }
}
