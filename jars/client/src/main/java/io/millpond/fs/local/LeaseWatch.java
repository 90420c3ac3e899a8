package io.millpond.fs.local;

import java.io.File;
import java.io.IOException;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/** The lease as it stood within the last 250 ms, with the epochs that it names mapped. */
final class LeaseWatch {
    static final long INTERVAL_NS = TimeUnit.MILLISECONDS.toNanos(250);

    private final File leaseFile;
    private final Path epochsFile;
    private final LocalEvents events;
    private volatile State state;
    private Epochs mapped;

    LeaseWatch(Path dir, LocalEvents events) {
        this.leaseFile = dir.resolve("lease").toFile();
        this.epochsFile = dir.resolve("epochs");
        this.events = events;
    }

    /** One reading. {@code lease} null: none that can be read; {@code epochs} null: no memory. */
    static final class State {
        final Lease lease;
        final Epochs epochs;
        final long atNs;
        State(Lease lease, Epochs mapped, long atNs) {
            this.lease = lease;
            this.epochs =
                    lease != null && mapped != null && mapped.id() == lease.epochsId()
                            ? mapped
                            : null;
            this.atNs = atNs;
        }
    }

    State at(long nowNs) {
        State last = state;
        return last != null && nowNs - last.atNs < INTERVAL_NS ? last : read(nowNs, last);
    }

    /** Makes the next look read the files. */
    void expire() {
        state = null;
    }

    private synchronized State read(long nowNs, State before) {
        State last = state;
        if (last != null && last != before) {
            return last; // another thread just read it
        }
        Lease lease = RecordFile.read(leaseFile, Lease::parse, events).value;
        if (lease != null && (mapped == null || mapped.id() != lease.epochsId())) {
            mapped = map();
        }
        state = new State(lease, mapped, nowNs);
        return state;
    }

    private Epochs map() {
        try {
            return Epochs.map(epochsFile);
        } catch (IOException e) {
            events.trouble(LocalEvents.Trouble.READ_FAILED, e);
            return null;
        }
    }
}
