package io.millpond.fs;

import io.millpond.fs.local.Block;
import io.millpond.fs.local.FileId;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * An open block that a stream holds on to. Counted, since a positioned read by one thread may run
 * while another moves the stream on; the block goes back to the pool after the last.
 */
final class HeldBlock {
    private final FileId id;
    private final int number;
    private final Block block;
    private final Touches touches;
    private final AtomicInteger users = new AtomicInteger(1);
    private int reads;
    private int reported;

    HeldBlock(FileId id, int number, Block block, Touches touches) {
        this.id = id;
        this.number = number;
        this.block = block;
        this.touches = touches;
        touches.opened(this);
    }

    FileId id() {
        return id;
    }

    int number() {
        return number;
    }

    Block block() {
        return block;
    }

    /** Counts one read; a race between threads may lose some, which eviction tolerates. */
    void touched() {
        reads++;
    }

    /** Reads since the last call of this. */
    synchronized int drain() {
        int now = reads;
        int fresh = now - reported;
        reported = now;
        return fresh;
    }

    /** One user more, unless the last has gone. */
    boolean enter() {
        for (int now = users.get(); now > 0; now = users.get()) {
            if (users.compareAndSet(now, now + 1)) {
                return true;
            }
        }
        return false;
    }

    void leave() {
        if (users.decrementAndGet() == 0) {
            touches.closed(this);
            block.close();
        }
    }
}
