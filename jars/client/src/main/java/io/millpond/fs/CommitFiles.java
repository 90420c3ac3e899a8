package io.millpond.fs;

import io.millpond.fs.local.Mount;
import io.millpond.fs.rpc.Changes;
import io.millpond.fs.rpc.Fallback;
import io.millpond.fs.rpc.SidecarTrouble;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.io.IOUtils;

/**
 * Files by which table formats commit: of several who make one, one alone may succeed, and it has to
 * know that it did. Without a sidecar they are made as far as the store's own connector can see to
 * that, and else refused.
 */
final class CommitFiles {
    private static final long PATIENCE_NS = TimeUnit.SECONDS.toNanos(30);
    private static final long PAUSE_MS = 100;
    private static final int BUFFER_BYTES = 1 << 16;

    private final Client client;
    private final Changes changes;
    private final Known known;

    CommitFiles(Client client, Changes changes, Known known) {
        this.client = client;
        this.changes = changes;
        this.known = known;
    }

    /** Refuses what would go past data that the store does not have. */
    interface Known {
        void check(String path, SidecarTrouble trouble) throws IOException;
    }

    /**
     * Has the sidecar rename; false where it could not be asked. Where an answer was lost it is
     * asked again whether it was done: taken for a refusal, it would have an engine commit twice.
     */
    boolean rename(String source, String target) throws IOException {
        long until = System.nanoTime() + PATIENCE_NS;
        boolean again = false;
        while (true) {
            try {
                changes.rename(source, target, false, again);
                return true;
            } catch (SidecarTrouble e) {
                if (!again && !mayBeDone(e)) {
                    known.check(source, e);
                    known.check(target, e);
                    client.fallback(e.reason(), e.getMessage());
                    return false;
                }
                if (System.nanoTime() > until) {
                    throw unknown(source + " to " + target, e);
                }
            }
            again = true;
            pause();
            client.sidecar().probeSoon();
        }
    }

    /** Whether a change was sent, and nothing says that it was not made. */
    static boolean mayBeDone(SidecarTrouble trouble) {
        Fallback reason = trouble.reason();
        return reason == Fallback.SILENCE
                || reason == Fallback.SIDECAR_GONE
                || reason == Fallback.STORE_UNAVAILABLE;
    }

    static SidecarUnavailableException unknown(String what, SidecarTrouble trouble) {
        SidecarUnavailableException typed =
                new SidecarUnavailableException(
                        what + ": whether it was done is unknown",
                        "the sidecar was lost before it answered: " + trouble.getMessage(),
                        "Look at what is there");
        typed.initCause(trouble);
        return typed;
    }

    /** Renames by the store's connector. AlreadyExists where another was first. */
    static void rename(Mount mount, FileSystem system, Path source, Path target)
            throws IOException {
        switch (mount.scheme()) {
            case "hdfs":
                if (!system.rename(source, target)) {
                    system.getFileStatus(source);
                    throw exists(target, null);
                }
                break;
            case "file":
                try {
                    Files.createLink(local(target), local(source));
                } catch (FileAlreadyExistsException e) {
                    throw exists(target, e);
                }
                Files.delete(local(source));
                break;
            default:
                copy(mount, system, source, target);
                system.delete(source, false);
        }
    }

    /** Where the source can't be read to its end nothing is made: a close would upload a part. */
    private static void copy(Mount mount, FileSystem system, Path source, Path target)
            throws IOException {
        try (FSDataInputStream in = system.open(source)) {
            FSDataOutputStream out = create(mount, system, target);
            try {
                IOUtils.copyBytes(in, out, BUFFER_BYTES, false);
            } catch (IOException | RuntimeException | Error e) {
                HadoopMaker.INSTANCE.abort(out);
                throw e;
            }
            out.close();
        } catch (org.apache.hadoop.fs.FileAlreadyExistsException e) {
            throw exists(target, e);
        }
    }

    /** A stream into a file that is to be new; where another is first, its end fails. */
    static FSDataOutputStream create(Mount mount, FileSystem system, Path target)
            throws IOException {
        FSDataOutputStream out =
                mount.scheme().equals("hdfs")
                        ? system.create(target, false)
                        : HadoopMaker.INSTANCE.createAbsent(system, target);
        if (out == null) {
            throw new NotSupportedException(
                    target + " can't be made without the sidecar",
                    "a table format commits by it, and this connector can't make sure that nobody"
                            + " else does at once",
                    "Start the sidecar; on S3, Hadoop 3.4.2 and later can");
        }
        return out;
    }

    private static java.nio.file.Path local(Path path) {
        return Paths.get(path.toUri().getPath());
    }

    private static AlreadyExistsException exists(Path target, IOException cause) {
        AlreadyExistsException typed =
                new AlreadyExistsException(target + " exists", "another was first", "");
        if (cause != null) {
            typed.initCause(cause);
        }
        return typed;
    }

    private static void pause() throws InterruptedIOException {
        try {
            Thread.sleep(PAUSE_MS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new InterruptedIOException("interrupted while the sidecar was waited for");
        }
    }
}
