package io.millpond.fs;

import io.millpond.fs.local.Names;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.util.concurrent.TimeUnit;

/**
 * What is refused where the sidecar can't be asked: what only it can know. Without it the store is
 * asked, which knows neither what is pending nor the files of an open batch.
 */
final class Unreachable {
    private static final String REMEDY =
            "Try again when the sidecar runs; 'millpond doctor' says what it lacks";

    private static final long PATIENCE_NS = TimeUnit.SECONDS.toNanos(10);

    /** For a job's own staging: it can't go on without it, and its sidecar may be starting again. */
    private static final long JOB_PATIENCE_NS = TimeUnit.SECONDS.toNanos(60);

    private static final long PAUSE_MS = 100;

    private Unreachable() {}

    /**
     * Asks again where a sidecar that is only busy gave no answer: as long as it renews its lease,
     * at most ten seconds; in a staging area, whether or not it does, for a minute. Elsewhere the
     * store is read at once; here there is nothing else to ask.
     */
    static <T> T patiently(Client client, Batch.Answer<T> ask) throws IOException {
        long since = System.nanoTime();
        while (true) {
            try {
                return ask.get();
            } catch (PendingUnreachableException e) {
                long waited = System.nanoTime() - since;
                boolean enough = waited > PATIENCE_NS || !client.leaseGood();
                if (e.inStaging() ? waited > JOB_PATIENCE_NS : enough) {
                    throw e;
                }
            }
            try {
                Thread.sleep(PAUSE_MS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new InterruptedIOException("interrupted while the sidecar was waited for");
            }
            client.sidecar().probeSoon();
        }
    }

    /** Refuses a path in the staging directory of a batch: to a store it means nothing. */
    static void checkStaged(String path) throws PendingUnreachableException {
        if (Names.isStaged(path)) {
            throw new PendingUnreachableException(
                    path + " belongs to a batch", "the sidecar alone knows its files", REMEDY);
        }
    }

    /** Nobody can say what a path has: its mount holds what the store does not have. */
    static PendingUnreachableException mount(
            Namespace.Look look, String path, Exception trouble) {
        boolean held = look.held(path);
        String cause =
                held
                        ? "it lies in the staging area of a job, which the sidecar holds"
                        : "its mount holds data that the store does not have yet";
        PendingUnreachableException typed =
                new PendingUnreachableException(
                        "what " + path + " has can't be known without the sidecar",
                        cause + (trouble == null ? "" : "; " + trouble.getMessage()),
                        REMEDY,
                        held);
        typed.initCause(trouble);
        return typed;
    }

    /** A file that no store is to get can't be made without who keeps it. */
    static PendingUnreachableException kept(String path) {
        return new PendingUnreachableException(
                path + " can't be made without the sidecar",
                "no store is to get it (write type cache)",
                REMEDY);
    }

    /** A version that was born here, where nothing says what the store calls it, if it has it. */
    static PendingUnreachableException version(FileVersion file) {
        return new PendingUnreachableException(
                file.path() + " can't be read further without the sidecar",
                "the store may not have this version yet",
                REMEDY);
    }
}
