package io.millpond.fs;

import java.io.IOException;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.util.Progressable;

/** The write half of a file system that is only read: each verb names where to write instead. */
abstract class ReadOnlyFileSystem extends FileSystem {
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
        throw refused("create", path);
    }

    @Override
    public FSDataOutputStream append(Path path, int bufferSize, Progressable progress)
            throws IOException {
        throw refused("append to", path);
    }

    @Override
    public boolean rename(Path from, Path to) throws IOException {
        throw refused("rename", from);
    }

    @Override
    public boolean delete(Path path, boolean recursive) throws IOException {
        throw refused("delete", path);
    }

    @Override
    public boolean mkdirs(Path path, FsPermission permission) throws IOException {
        throw refused("make directory", path);
    }

    @Override
    public boolean truncate(Path path, long newLength) throws IOException {
        throw refused("truncate", path);
    }

    @Override
    public void concat(Path path, Path[] sources) throws IOException {
        throw refused("concatenate into", path);
    }

    @Override
    public boolean setReplication(Path path, short replication) throws IOException {
        throw refused("set the replication of", path);
    }

    @Override
    public void setTimes(Path path, long mtime, long atime) throws IOException {
        throw refused("set the times of", path);
    }

    @Override
    public void setPermission(Path path, FsPermission permission) throws IOException {
        throw refused("set the permission of", path);
    }

    @Override
    public void setOwner(Path path, String user, String group) throws IOException {
        throw refused("set the owner of", path);
    }

    private NotSupportedException refused(String verb, Path path) throws IOException {
        return new NotSupportedException(
                "can't " + verb + " " + path,
                "cache:// is for reading",
                "Write to " + storeUri(path));
    }
}
