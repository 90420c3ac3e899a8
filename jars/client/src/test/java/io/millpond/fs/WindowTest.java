package io.millpond.fs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import org.junit.jupiter.api.Test;

final class WindowTest {
    private static final long MIB = 1 << 20;
    private static final long GIB = 1 << 30;
    private static final long MAX = 32 * MIB;

    private static int callsToRead(Window window, long length, int step) {
        int calls = 0;
        long filled = 0;
        for (long at = 0; at < length; at += step) {
            window.moveTo(at);
            while (filled < Math.min(length, at + step)) {
                filled = window.fetchEnd(filled, Math.min(length, at + step) - filled);
                calls++;
            }
            window.advancedTo(Math.min(length, at + step));
        }
        return calls;
    }

    @Test
    void aSequentialGibTakesAtMost64Calls() {
        ReadPolicy[] policies = {
            ReadPolicy.ADAPTIVE, ReadPolicy.SEQUENTIAL, ReadPolicy.WHOLE_FILE
        };
        for (ReadPolicy policy : policies) {
            for (int step : new int[] {4 << 10, 64 << 10, 1 << 20}) {
                Window window = new Window(policy, GIB, -1, MAX);
                int calls = callsToRead(window, GIB, step);
                assertTrue(calls <= 64, policy + " by " + step + ": " + calls);
            }
        }
    }

    @Test
    void aPositionedReadDragsInItsPagesAndNoMore() {
        Window window = new Window(ReadPolicy.ADAPTIVE, GIB, -1, MAX);
        window.moveTo(500 * MIB + 10);
        assertEquals(500 * MIB, window.fetchStart(500 * MIB + 10));
        assertEquals(500 * MIB + 64 * 1024, window.fetchEnd(500 * MIB + 10, 8192));
        assertFalse(window.streaming());
    }

    @Test
    void aRandomPolicyDoesNotReadAheadEvenFromTheStart() {
        Window window = new Window(ReadPolicy.RANDOM, GIB, -1, MAX);
        window.moveTo(0);
        assertEquals(64 * 1024, window.fetchEnd(0, 100));
        assertFalse(window.streaming());
    }

    @Test
    void aSequentialPolicyStartsAtFullWidth() {
        Window window = new Window(ReadPolicy.SEQUENTIAL, GIB, -1, MAX);
        window.moveTo(0);
        assertEquals(MAX, window.fetchEnd(0, 100));
        assertTrue(window.streaming());
        assertEquals(MAX, window.hint(MAX));
    }

    @Test
    void aRunGrowsAndASeekEndsIt() {
        Window window = new Window(ReadPolicy.ADAPTIVE, GIB, -1, MAX);
        window.moveTo(0);
        assertEquals(MIB, window.fetchEnd(0, 100));
        window.advancedTo(MIB);
        window.moveTo(MIB);
        assertEquals(5 * MIB, window.fetchEnd(MIB, 100));
        window.moveTo(700 * MIB);
        assertEquals(700 * MIB + 64 * 1024, window.fetchEnd(700 * MIB, 100));
    }

    @Test
    void smallFilesAreFetchedWhole() {
        Window window = new Window(ReadPolicy.RANDOM, 900_000, -1, MAX);
        window.moveTo(800_000);
        assertEquals(0, window.fetchStart(800_000));
        assertEquals(900_000, window.fetchEnd(800_000, 8));
    }

    @Test
    void nothingIsFetchedAheadBeyondTheSplit() {
        Window window = new Window(ReadPolicy.SEQUENTIAL, GIB, 10 * MIB, MAX);
        window.moveTo(0);
        assertEquals(10 * MIB, window.fetchEnd(0, 100));
        assertEquals(0, window.hint(10 * MIB));
        window.moveTo(11 * MIB);
        assertEquals(11 * MIB + 64 * 1024, window.fetchEnd(11 * MIB, 100));
    }

    /** Whatever is read in whatever order: the fetch covers it, in whole pages, inside the file. */
    @Test
    void everyFetchCoversItsRead() {
        Random random = new Random(3);
        for (int file = 0; file < 200; file++) {
            long length = 1 + (long) (random.nextDouble() * (file % 2 == 0 ? 2 * MIB : GIB));
            ReadPolicy policy = ReadPolicy.values()[random.nextInt(4)];
            long split = random.nextBoolean() ? -1 : 1 + (long) (random.nextDouble() * length);
            Window window = new Window(policy, length, split, MAX);
            long at = 0;
            for (int read = 0; read < 50; read++) {
                if (random.nextInt(3) == 0) {
                    at = (long) (random.nextDouble() * length);
                }
                long need = Math.min(length - at, 1 + random.nextInt(3 << 20));
                if (need <= 0) {
                    at = 0;
                    continue;
                }
                window.moveTo(at);
                long start = window.fetchStart(at);
                long end = window.fetchEnd(at, need);
                assertTrue(start <= at && at + need <= end && end <= length);
                assertEquals(0, start % Window.PAGE_BYTES);
                assertTrue(end == length || end % Window.PAGE_BYTES == 0);
                assertTrue(end - start <= Math.max(need, MAX) + 2 * Window.PAGE_BYTES + MIB);
                window.advancedTo(at + need);
                at += need;
            }
        }
    }
}
