package io.millpond.fs;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.net.URI;
import java.util.ArrayList;
import java.util.Collections;
import java.util.EnumSet;
import java.util.List;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.CreateFlag;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.LocalFileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.util.Progressable;

/**
 * {@code cache://} for suites that write what they read: writes go past it, straight to the store
 * behind, as another program's would. Then the sidecar is asked anew about each path that changed,
 * so that a mount may have a long freshness and reads still see what was written.
 */
public final class StoreWritingFileSystem extends CacheFileSystem {
    /** Of HDFS's own; a suite asks for less. */
    private static final long MIN_BLOCK_BYTES = 1 << 20;

    private Client client;

    @Override
    public void initialize(URI name, Configuration conf) throws IOException {
        super.initialize(name, conf);
        client = Client.of(ClientConf.of(conf));
    }

    @Override
    public FSDataOutputStream create(
            Path path,
            FsPermission permission,
            boolean overwrite,
            int bufferSize,
            short replication,
            long blockSize,
            Progressable progress)
            throws IOException {
        Path stored = stored(path);
        return then(
                path,
                store(stored)
                        .create(
                                stored,
                                permission,
                                overwrite,
                                bufferSize,
                                replication,
                                Math.max(blockSize, MIN_BLOCK_BYTES),
                                progress));
    }

    @Override
    public FSDataOutputStream createNonRecursive(
            Path path,
            FsPermission permission,
            EnumSet<CreateFlag> flags,
            int bufferSize,
            short replication,
            long blockSize,
            Progressable progress)
            throws IOException {
        Path stored = stored(path);
        return then(
                path,
                store(stored)
                        .createNonRecursive(
                                stored,
                                permission,
                                flags,
                                bufferSize,
                                replication,
                                Math.max(blockSize, MIN_BLOCK_BYTES),
                                progress));
    }

    /** The same stream, after whose end the sidecar is asked about the file. */
    private FSDataOutputStream then(Path path, FSDataOutputStream out) throws IOException {
        return new FSDataOutputStream(out, null) {
            private boolean closed;

            @Override
            public void close() throws IOException {
                super.close();
                if (!closed) {
                    closed = true;
                    settle(stored(path));
                    refresh(List.of(path));
                }
            }
        };
    }

    @Override
    public boolean mkdirs(Path path, FsPermission permission) throws IOException {
        Path stored = stored(path);
        boolean made = store(stored).mkdirs(stored, permission);
        refresh(List.of(path));
        return made;
    }

    @Override
    public boolean delete(Path path, boolean recursive) throws IOException {
        List<Path> changed = below(path);
        Path stored = stored(path);
        boolean deleted = store(stored).delete(stored, recursive);
        refresh(changed);
        return deleted;
    }

    @Override
    public boolean rename(Path from, Path to) throws IOException {
        List<Path> changed = below(from);
        boolean renamed = store(stored(from)).rename(stored(from), stored(to));
        changed.addAll(below(to));
        refresh(changed);
        return renamed;
    }

    /**
     * What was written just now has no version that proves it, and isn't cached: where the time of
     * a file can be set, it is set back, so that the suites read blocks.
     */
    private void settle(Path stored) throws IOException {
        FileSystem store = store(stored);
        if (stored.toUri().getScheme().equals("hdfs")) {
            FileStatus status = store.getFileStatus(stored);
            long before = status.getModificationTime() - 3600_000;
            store.setTimes(stored, before, before - 1);
        }
    }

    /** The path and all that lies below it in the store, deepest first. */
    private List<Path> below(Path path) throws IOException {
        List<Path> found = new ArrayList<>(List.of(path));
        Path stored = stored(path);
        FileSystem store = store(stored);
        try {
            if (store.getFileStatus(stored).isDirectory()) {
                for (FileStatus each : store.listStatus(stored)) {
                    found.addAll(below(new Path(path, each.getPath().getName())));
                }
            }
        } catch (FileNotFoundException e) {
            return found;
        }
        Collections.reverse(found);
        return found;
    }

    private void refresh(List<Path> paths) throws IOException {
        for (Path each : paths) {
            try {
                client.sidecar().stat(makeQualified(each).toUri().getPath(), true);
            } catch (FileNotFoundException e) {
                // That is what the sidecar knows now.
            }
        }
    }

    private Path stored(Path path) throws IOException {
        return new Path(storeUri(path));
    }

    private FileSystem store(Path stored) throws IOException {
        FileSystem store = FileSystem.get(stored.toUri(), getConf());
        return store instanceof LocalFileSystem ? ((LocalFileSystem) store).getRaw() : store;
    }
}
