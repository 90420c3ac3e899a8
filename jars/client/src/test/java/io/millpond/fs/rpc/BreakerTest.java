package io.millpond.fs.rpc;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

final class BreakerTest {
    private static final long PROBE_NS = 5_000;

    private final AtomicLong clock = new AtomicLong();
    private final Breaker breaker = new Breaker(clock::get, PROBE_NS);

    @Test
    void oneSilenceIsForgiven() {
        assertFalse(breaker.silence());
        assertTrue(breaker.closed());
        breaker.heard();
        assertFalse(breaker.silence(), "a frame in between starts the count anew");
        assertTrue(breaker.closed());
    }

    @Test
    void twoSilencesInARowOpenItOnce() {
        breaker.silence();
        assertTrue(breaker.silence());
        assertFalse(breaker.closed());
        assertFalse(breaker.silence(), "it was open before");
    }

    @Test
    void aRefusalOpensItAtOnce() {
        assertTrue(breaker.refused());
        assertFalse(breaker.closed());
    }

    @Test
    void itIsProbedOncePerPeriodWhileOpen() {
        assertFalse(breaker.probe(), "closed: nothing to probe");
        breaker.refused();
        assertFalse(breaker.probe());
        clock.set(PROBE_NS);
        assertTrue(breaker.probe());
        assertFalse(breaker.probe(), "claimed by the first");
        clock.set(2 * PROBE_NS);
        assertTrue(breaker.probe());
        breaker.heard();
        clock.set(9 * PROBE_NS);
        assertFalse(breaker.probe());
    }

    @Test
    void aSignOfLifeBringsTheProbeForward() {
        breaker.refused();
        breaker.probeNow();
        assertTrue(breaker.probe());
    }

    /** Against the definition: open exactly from two strikes in a row, or a refusal, to a frame. */
    @Test
    void anyHistoryEndsAsDefined() {
        Random random = new Random(7);
        int strikes = 0;
        boolean open = false;
        for (int i = 0; i < 10_000; i++) {
            switch (random.nextInt(3)) {
                case 0:
                    breaker.heard();
                    strikes = 0;
                    open = false;
                    break;
                case 1:
                    breaker.silence();
                    strikes++;
                    open |= strikes >= 2;
                    break;
                default:
                    breaker.refused();
                    strikes = 2;
                    open = true;
            }
            assertEquals(!open, breaker.closed(), "step " + i);
        }
    }
}
