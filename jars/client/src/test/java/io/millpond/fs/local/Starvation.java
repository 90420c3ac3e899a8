package io.millpond.fs.local;

import java.io.FileInputStream;
import java.io.IOException;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A process without descriptors left: {@code Starvation <dir> <file id, hex>}, under a low limit.
 * Prints what became of each step.
 */
final class Starvation {
    private static final int VALID = Layout.PAGE_BYTES;

    private Starvation() {}

    public static void main(String[] args) throws IOException {
        Path dir = Paths.get(args[0]);
        FileId id = CacheWriter.id(args[1]);
        Recorder events = new Recorder();
        List<FileInputStream> hoard = new ArrayList<>();
        BlockPool pool = new BlockPool(dir, events, 256, BlockPool.IDLE_NS);
        Block held = pool.acquire(id, 0, VALID);
        pool.acquire(id, 1, VALID).close();
        say("warm", reads(held, id, 0) && !pool.starved() && pool.size() == 2);
        pool.acquire(id, 9, VALID);
        fill(hoard);
        say("full", hoard.size() > 5);
        Block third = pool.acquire(id, 2, VALID);
        say("idle gives way", reads(third, id, 2) && events.troubles() == 0);
        say("again", reads(held, id, 0) && reads(third, id, 2) && pool.size() <= 2);
        held.retire();
        third.retire();
        fill(hoard);
        say("absent", pool.acquire(id, 3, VALID) == null && !reads(held, id, 0));
        say("counted", events.lastTrouble() == LocalEvents.Trouble.OPEN_FAILED && pool.starved());
        hoard.get(0).close();
        say("recovers", reads(pool.acquire(id, 3, VALID), id, 3));
    }

    private static void fill(List<FileInputStream> hoard) {
        try {
            while (true) {
                hoard.add(new FileInputStream("/dev/null"));
            }
        } catch (IOException e) {
            // no descriptor is left
        }
    }

    private static boolean reads(Block block, FileId id, int number) throws IOException {
        byte[] data = new byte[VALID];
        long offset = (long) number * Layout.BLOCK_BYTES;
        return block.read(0, data, 0, VALID) == VALID
                && Arrays.equals(data, CacheWriter.content(id, offset, VALID));
    }

    private static void say(String step, boolean good) {
        System.out.println(step + ": " + (good ? "yes" : "no"));
    }
}
