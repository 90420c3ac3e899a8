package io.millpond.fs;

import java.io.IOException;
import java.util.Arrays;
import java.util.EnumSet;
import org.apache.hadoop.fs.CreateFlag;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Options;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.util.Progressable;

/**
 * The write half of {@link CacheFileSystem}. Permissions, owners and replication are the store's:
 * setting them does nothing, as with Hadoop's own object stores. What can't be done is refused.
 */
abstract class WritableFileSystem extends FileSystem {
    /** Performs changes. */
    abstract Writes writes();

    /** A path of the namespace, checked. */
    abstract String name(Path path) throws IOException;

    /** How files are written where their creator does not say; empty: as the mount says. */
    abstract String writeType();

    /** The place in the store behind a path. */
    abstract String storeUri(Path path) throws IOException;

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
        return create(
                path,
                new Writes.Options(
                        overwrite,
                        false,
                        bufferSize,
                        replication,
                        blockSize,
                        progress,
                        writeType()));
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
        if (flags.contains(CreateFlag.APPEND)) {
            throw refused("append to", path);
        }
        return create(
                path,
                new Writes.Options(
                        flags.contains(CreateFlag.OVERWRITE),
                        true,
                        bufferSize,
                        replication,
                        blockSize,
                        progress,
                        writeType()));
    }

    FSDataOutputStream create(Path path, Writes.Options options) throws IOException {
        return writes()
                .patiently(() -> writes().create(name(path), options, statistics));
    }

    @Override
    public FSDataOutputStream append(Path path, int bufferSize, Progressable progress)
            throws IOException {
        throw refused("append to", path);
    }

    @Override
    public boolean rename(Path from, Path to) throws IOException {
        if (name(from).equals("/")) {
            return false; // whatever the target is, it lies below
        }
        return writes().patiently(() -> writes().rename(name(from), name(to)));
    }

    /** As FileContext asks for it, which has to be told why it was not done. */
    @Override
    @SuppressWarnings("deprecation")
    protected void rename(Path from, Path to, Options.Rename... options) throws IOException {
        if (Arrays.asList(options).contains(Options.Rename.OVERWRITE)) {
            super.rename(from, to, options);
            return;
        }
        String source = name(from);
        String target = name(to);
        if (source.equals(target)) {
            throw new AlreadyExistsException(target + " is what was to be renamed", "", "");
        }
        writes().patiently(
                () -> {
                    writes().move(source, target, false);
                    return null;
                });
    }

    /** The root stays, whether or not it is a mount: false, as HDFS says it. */
    @Override
    public boolean delete(Path path, boolean recursive) throws IOException {
        if (name(path).equals("/")) {
            if (!recursive && listStatus(path).length > 0) {
                throw new DirectoryNotEmptyException("/ can't be deleted", "", "Name what is in it");
            }
            return false;
        }
        return writes().patiently(() -> writes().delete(name(path), recursive));
    }

    @Override
    public boolean mkdirs(Path path, FsPermission permission) throws IOException {
        return writes().patiently(() -> writes().mkdirs(name(path)));
    }

    @Override
    public void setTimes(Path path, long mtime, long atime) throws IOException {
        writes().setTimes(name(path), mtime, atime);
    }

    @Override
    public boolean truncate(Path path, long newLength) throws IOException {
        throw refused("truncate", path);
    }

    @Override
    public void concat(Path path, Path[] sources) throws IOException {
        throw refused("concatenate into", path);
    }

    private NotSupportedException refused(String verb, Path path) throws IOException {
        return new NotSupportedException(
                "can't " + verb + " " + path,
                "files of cache:// are written whole",
                "Write another file, or use " + storeUri(path));
    }
}
