package io.millpond.fs;

import io.millpond.fs.rpc.BatchCalls;
import io.millpond.fs.rpc.Fallback;
import io.millpond.fs.rpc.SidecarTrouble;
import io.millpond.fs.wire.Wire;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * Files that become visible together: for commit protocols of engines. What is written to {@code
 * <directory>/<staging>/<attempt>/<name>} is {@code <directory>/<name>} once the batch is committed
 * with that attempt, and nothing before.
 *
 * <p>Held by the sidecar, not by a connection: any process of the node writes files into it, and a
 * sidecar that restarts still has it. It is dropped when nobody calls for it for ten minutes.
 */
public final class Batch {
    /** How long a commit is asked for again where the sidecar was lost before it answered. */
    private static final long PATIENCE_NS = TimeUnit.SECONDS.toNanos(60);

    /** How long a sidecar that was there a moment ago is waited for at the beginning. */
    private static final long BEGIN_NS = TimeUnit.SECONDS.toNanos(10);

    private static final long PAUSE_MS = 200;

    private final CacheFileSystem system;
    private final BatchCalls calls;
    private final String id;
    private final String staging;

    private Batch(CacheFileSystem system, BatchCalls calls, Wire.BatchBeginReply begun) {
        this.system = system;
        this.calls = calls;
        this.id = begun.getBatch();
        this.staging = begun.getStaging();
    }

    /** Whether batches can be had of a file system at all. */
    public static boolean of(FileSystem system) {
        return system instanceof CacheFileSystem;
    }

    /**
     * Begins one in the mount of a directory. Null where no sidecar can be asked, or it knows no
     * batches; typed errors of the sidecar are thrown.
     */
    public static Batch begin(FileSystem system, Path directory, String writeType, String name)
            throws IOException {
        CacheFileSystem cache = (CacheFileSystem) system;
        Client client = cache.client();
        if (client.dirOrNull() == null) {
            return null;
        }
        BatchCalls calls = new BatchCalls(client.sidecar());
        String path = cache.name(directory);
        try {
            return new Batch(
                    cache, calls, again(BEGIN_NS, () -> calls.begin(path, writeType, name)));
        } catch (SidecarTrouble e) {
            if (e.getCause() instanceof InvalidSettingException) {
                throw (IOException) e.getCause();
            }
            client.fallback(e.reason(), e.getMessage());
            return null;
        }
    }

    public String id() {
        return id;
    }

    /** The segment of paths that leads into the batch. */
    public String staging() {
        return staging;
    }

    /**
     * Has the commit remove what is there now; it is a Conflict if that changes meanwhile. Without
     * paths it tells the sidecar that the batch is in use.
     */
    public void replace(Collection<Path> paths, boolean recursive) throws IOException {
        List<String> names = new ArrayList<>();
        for (Path path : paths) {
            names.add(system.name(path));
        }
        patiently("prepared", () -> calls.replace(id, names, recursive));
    }

    /**
     * Makes the files of these attempts visible, and drops all others. {@code dynamic}: they take
     * the place of what is in their directories.
     */
    public void commit(Collection<String> attempts, boolean dynamic) throws IOException {
        patiently("committed", () -> calls.commit(id, attempts, dynamic));
    }

    /** Drops the batch with its files. */
    public void abort() throws IOException {
        calls.abort(id);
    }

    private void patiently(String what, Call call) throws IOException {
        again(
                "batch " + id + " was " + what,
                () -> {
                    call.make();
                    return null;
                });
    }

    /** As the other, with the patience of a job that runs, and an error for its user. */
    static <T> T again(String what, Answer<T> answer) throws IOException {
        try {
            return again(PATIENCE_NS, answer);
        } catch (SidecarTrouble e) {
            throw typed(what, e);
        }
    }

    /** Asks again while the sidecar is away: what a batch is asked may be asked again. */
    private static <T> T again(long patienceNs, Answer<T> answer) throws IOException {
        long until = System.nanoTime() + patienceNs;
        while (true) {
            try {
                return answer.get();
            } catch (SidecarTrouble e) {
                if (!away(e.reason()) || System.nanoTime() > until) {
                    throw e;
                }
                try {
                    Thread.sleep(PAUSE_MS);
                } catch (InterruptedException interrupt) {
                    Thread.currentThread().interrupt();
                    throw e;
                }
            }
        }
    }

    private static IOException typed(String what, SidecarTrouble trouble) {
        if (trouble.getCause() instanceof IOException) {
            return (IOException) trouble.getCause();
        }
        SidecarUnavailableException typed =
                new SidecarUnavailableException(
                        "whether " + what + " is unknown",
                        "the sidecar is away: " + trouble.getMessage(),
                        "Start it again; `millpond batch ls` says what it did");
        typed.initCause(trouble);
        return typed;
    }

    private static boolean away(Fallback reason) {
        switch (reason) {
            case SIDECAR_ABSENT:
            case SIDECAR_GONE:
            case SILENCE:
            case BREAKER_OPEN:
            case OVERLOADED:
                return true;
            default:
                return false;
        }
    }

    /** A call that may be made again. */
    private interface Call {
        void make() throws IOException;
    }

    /** One that says something. */
    interface Answer<T> {
        T get() throws IOException;
    }
}
