package io.millpond.fs;

import io.millpond.fs.local.CacheDir;
import io.millpond.fs.local.Mount;
import io.millpond.fs.local.Names;
import io.millpond.fs.rpc.Changes;
import io.millpond.fs.rpc.Counters;
import io.millpond.fs.rpc.Fallback;
import io.millpond.fs.rpc.SidecarTrouble;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.util.List;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.util.Progressable;

/**
 * Changes of the namespace: through the node's sidecar, and where it can't be asked by the store's
 * own connector, after which the sidecar is told. What may have been done already is not done
 * again.
 */
final class Writes {
    private final Client client;
    private final DirectStores stores;
    private final Namespace namespace;
    private final Changes changes;
    private final CommitFiles commitFiles;

    Writes(Client client, DirectStores stores, Namespace namespace) {
        this.client = client;
        this.stores = stores;
        this.namespace = namespace;
        this.changes = new Changes(client.sidecar());
        this.commitFiles = new CommitFiles(client, changes, this::checkKnown);
    }

    /** What a caller of create asked for, beside the path. */
    static final class Options {
        final boolean overwrite;
        final boolean parent;
        final int bufferSize;
        final short replication;
        final long blockSize;
        final Progressable progress;
        final String writeType;

        /** {@code writeType}: empty for the mount's. */
        Options(
                boolean overwrite,
                boolean parent,
                int bufferSize,
                short replication,
                long blockSize,
                Progressable progress,
                String writeType) {
            this.overwrite = overwrite;
            this.parent = parent;
            this.bufferSize = bufferSize;
            this.replication = replication;
            this.blockSize = blockSize;
            this.progress = progress;
            this.writeType = writeType;
        }
    }

    /** Performs one of the changes below; waits for a busy sidecar where nobody else can. */
    <T> T patiently(Batch.Answer<T> change) throws IOException {
        return Unreachable.patiently(client, change);
    }

    FSDataOutputStream create(String path, Options options, FileSystem.Statistics statistics)
            throws IOException {
        CacheDir dir = namespace.look().dir();
        if (dir != null) {
            try {
                StagedWrite staged = staged(dir, path, options);
                return new FSDataOutputStream(
                        HadoopMaker.INSTANCE.output(staged, path, options.progress), statistics);
            } catch (IsADirectoryException e) {
                throw directory(path, e);
            } catch (SidecarTrouble e) {
                checkKnown(path, e);
                client.fallback(e.reason(), e.getMessage());
            } catch (FileSystemException e) {
                client.fallback(Fallback.LOCAL_IO, "staging can't be written: " + e);
            }
        }
        return direct(path, options);
    }

    private StagedWrite staged(CacheDir dir, String path, Options options) throws IOException {
        Batch.Answer<StagedWrite> begin =
                () -> new StagedWrite(client, dir.path(), path, options);
        return Names.isStaged(path) ? Batch.again(path + " was begun", begin) : begin.get();
    }

    /** False where the source is absent, the target is there, or it lies below the source. */
    boolean rename(String source, String target) throws IOException {
        try {
            move(source, target, true);
            return true;
        } catch (FileNotFoundException | AlreadyExistsException | InvalidPathException e) {
            return false;
        }
    }

    /** Renames, with {@code into} into the target where that is a directory; else AlreadyExists. */
    void move(String source, String target, boolean into) throws IOException {
        Change change = () -> changes.rename(source, target, into, false);
        boolean commit = isCommitFile(target);
        if (commit && namespace.look().dir() != null
                ? commitFiles.rename(source, target)
                : through(change, false, source, target)) {
            return;
        }
        FileSystem system = system(source);
        system(target);
        if (!mount(source).path().equals(mount(target).path())) {
            throw new AcrossMountsException(
                    source + " can't be renamed to " + target,
                    "they lie in different mounts",
                    "Copy it, then delete the source");
        }
        Path from = store(source).uri(source);
        Path to = store(target).uri(target);
        try {
            if ((commit || !into) && found(system, to) != null) {
                throw new AlreadyExistsException(target + " exists", "", "");
            }
            if (commit) {
                CommitFiles.rename(mount(target), system, from, to);
            } else if (!system.rename(from, to)) {
                system.getFileStatus(from);
                throw new AlreadyExistsException(
                        source + " can't be renamed to " + target, "its store refused", "");
            }
        } finally {
            client.invalidations().changed(List.of(source, target), true);
        }
    }

    private boolean isCommitFile(String path) throws IOException {
        Mount mount = namespace.look().table().find(path);
        return mount != null && mount.isCommitFile(path);
    }

    /** False where there is nothing. */
    boolean delete(String path, boolean recursive) throws IOException {
        try {
            if (!through(() -> changes.delete(path, recursive), true, path)) {
                FileSystem system = system(path);
                try {
                    return system.delete(store(path).uri(path), recursive);
                } finally {
                    client.invalidations().changed(List.of(path), true);
                }
            }
            return true;
        } catch (FileNotFoundException e) {
            return false;
        }
    }

    boolean mkdirs(String path) throws IOException {
        if (!through(() -> changes.mkdirs(path), true, path)) {
            boolean made = system(path).mkdirs(store(path).uri(path));
            client.invalidations().changed(List.of(path), false);
            return made;
        }
        return true;
    }

    /** Does nothing where the store keeps its own times, as Hadoop's own file systems do. */
    void setTimes(String path, long mtimeMs, long atimeMs) throws IOException {
        Change change =
                () -> {
                    try {
                        changes.setTimes(path, mtimeMs, atimeMs);
                    } catch (SidecarTrouble e) {
                        if (!(e.getCause() instanceof NotSupportedException)) {
                            throw e;
                        }
                    }
                };
        if (!through(change, true, path)) {
            system(path).setTimes(store(path).uri(path), mtimeMs, atimeMs);
            client.invalidations().changed(List.of(path), false);
        }
    }

    Mount mount(String path) throws IOException {
        return namespace.look().mount(path);
    }

    private FSDataOutputStream direct(String path, Options options) throws IOException {
        FileSystem system = system(path);
        String writeType = options.writeType;
        if (writeType.equals("cache") || writeType.isEmpty() && mount(path).keeps(path)) {
            throw Unreachable.kept(path);
        }
        Path uri = store(path).uri(path);
        FileStatus found = found(system, uri);
        if (found != null && found.isDirectory()) {
            throw directory(path, null);
        }
        if (found != null && !options.overwrite) {
            throw new AlreadyExistsException(path + " exists", "", "Overwrite it");
        }
        if (options.parent && found(system, uri.getParent()) == null) {
            throw new PathNotFoundException(
                    path + " can't be made", "the directory above does not exist", "Make it first");
        }
        FSDataOutputStream out =
                !options.overwrite && isCommitFile(path)
                        ? CommitFiles.create(mount(path), system, uri)
                        : system.create(
                                uri,
                                options.overwrite,
                                options.bufferSize,
                                options.replication,
                                options.blockSize,
                                options.progress);
        client.counters().add(Counters.Name.DIRECT_WRITES, 1);
        return new NotedOutputStream(
                out, () -> client.invalidations().changed(List.of(path), false));
    }

    /** As Hadoop's own file systems say it. */
    private static AlreadyExistsException directory(String path, IOException cause) {
        AlreadyExistsException typed =
                new AlreadyExistsException(path + " is a directory", "", "Name a file");
        typed.initCause(cause);
        return typed;
    }

    private static FileStatus found(FileSystem system, Path uri)
            throws IOException {
        try {
            return system.getFileStatus(uri);
        } catch (FileNotFoundException e) {
            return null;
        }
    }

    private DirectStore store(String path) throws IOException {
        return stores.of(mount(path));
    }

    /**
     * Refuses what would go past data that the store does not have, or to a batch: as the sidecar
     * did, where it answered.
     */
    private void checkKnown(String path, SidecarTrouble trouble) throws IOException {
        Throwable told = trouble == null ? null : trouble.getCause();
        boolean answered =
                told instanceof Fault && ((Fault) told).error() != ErrorCode.SIDECAR_UNAVAILABLE;
        Namespace.Look look = namespace.look();
        if (Names.isStaged(path) || look.pending(path)) {
            if (answered && told instanceof IOException) {
                throw (IOException) told;
            }
            Unreachable.checkStaged(path);
            throw Unreachable.mount(look, path, trouble);
        }
    }

    private FileSystem system(String path) throws IOException {
        checkKnown(path, null);
        Mount mount = mount(path);
        if (mount.readOnly()) {
            throw new MountReadOnlyException(
                    path + " can't be changed",
                    "the mount " + mount.path() + " is read-only",
                    "Mount it without -o read_only=true");
        }
        boolean leads = !namespace.look().table().mountPoints(path).isEmpty();
        if (leads || mount.path().equals(path)) {
            throw new MountConflictException(
                    path + " can't be changed",
                    "it is a mount, or mounts lie below it",
                    "Change what is in it");
        }
        FileSystem system = stores.of(mount).connector().system();
        if (system == null) {
            throw new StoreNotSupportedException(
                    mount.storeUri() + " can't be written", "its connector only reads", "");
        }
        return system;
    }

    /**
     * Has the sidecar do it. False: it can't be asked, and the connector is to do it; where it may
     * have been done and must not be done {@code again}, SidecarUnavailable.
     */
    private boolean through(Change change, boolean again, String... paths) throws IOException {
        if (namespace.look().dir() == null) {
            return false;
        }
        try {
            change.make();
            return true;
        } catch (SidecarTrouble e) {
            boolean sent =
                    e.reason() == Fallback.SILENCE || e.reason() == Fallback.SIDECAR_GONE;
            if (sent && !again) {
                throw CommitFiles.unknown(String.join(" to ", paths), e);
            }
            for (String path : paths) {
                checkKnown(path, e);
            }
            client.fallback(e.reason(), e.getMessage());
            return false;
        }
    }

    /** A call that changes something. */
    private interface Change {
        void make() throws IOException;
    }
}
