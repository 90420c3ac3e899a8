package io.millpond.fs.hdfs;

import io.millpond.fs.Connector;
import io.millpond.fs.Hadoop3Transparent;
import io.millpond.fs.Transparent;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.util.EnumSet;
import java.util.concurrent.CompletableFuture;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.CreateFlag;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Options.ChecksumOpt;
import org.apache.hadoop.fs.Options.Rename;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.impl.OpenFileParameters;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.hdfs.DistributedFileSystem;
import org.apache.hadoop.hdfs.client.HdfsDataOutputStream;
import org.apache.hadoop.util.Progressable;

/**
 * The HDFS client with the cache behind it: {@code fs.hdfs.impl}. Files that a mount covers are read
 * through its blocks; everything else is HDFS's own, locations too: its replicas are where it says.
 *
 * <p>What is written is forgotten by the cache when the file is created, from which moment it is a
 * new file, and when its stream is closed. Of the builders, which make their streams unseen, only
 * the creation is noticed.
 */
public final class TransparentHdfsFileSystem extends DistributedFileSystem {
    private Transparent cache;

    @Override
    public void initialize(URI name, Configuration conf) throws IOException {
        super.initialize(name, conf);
        cache = Transparent.of(this, new Plain(), statistics);
    }

    @Override
    public FSDataInputStream open(Path path, int bufferSize) throws IOException {
        FSDataInputStream in = cache == null ? null : cache.open(path);
        return in != null ? in : super.open(path, bufferSize);
    }

    /** Hadoop's own ends in {@code open}, which would ask the cache once more. */
    @Override
    protected CompletableFuture<FSDataInputStream> openFileWithOptions(
            Path path, OpenFileParameters parameters) throws IOException {
        FSDataInputStream in = Hadoop3Transparent.open(cache, path, parameters);
        return in != null
                ? CompletableFuture.completedFuture(in)
                : Hadoop3Transparent.openPlainly(
                        path, parameters, size -> super.open(path, size));
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
        return noted(
                super.create(
                        path, permission, overwrite, bufferSize, replication, blockSize, progress),
                path);
    }

    @Override
    public HdfsDataOutputStream create(
            Path path,
            FsPermission permission,
            boolean overwrite,
            int bufferSize,
            short replication,
            long blockSize,
            Progressable progress,
            InetSocketAddress[] favored)
            throws IOException {
        HdfsDataOutputStream out =
                super.create(
                        path,
                        permission,
                        overwrite,
                        bufferSize,
                        replication,
                        blockSize,
                        progress,
                        favored);
        return (HdfsDataOutputStream) noted(out, path);
    }

    @Override
    public FSDataOutputStream create(
            Path path,
            FsPermission permission,
            EnumSet<CreateFlag> flags,
            int bufferSize,
            short replication,
            long blockSize,
            Progressable progress,
            ChecksumOpt checksum)
            throws IOException {
        return noted(
                super.create(
                        path,
                        permission,
                        flags,
                        bufferSize,
                        replication,
                        blockSize,
                        progress,
                        checksum),
                path);
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
        return noted(
                super.createNonRecursive(
                        path, permission, flags, bufferSize, replication, blockSize, progress),
                path);
    }

    @Override
    public FSDataOutputStream append(Path path, int bufferSize, Progressable progress)
            throws IOException {
        return noted(super.append(path, bufferSize, progress), path);
    }

    @Override
    public FSDataOutputStream append(
            Path path, EnumSet<CreateFlag> flags, int bufferSize, Progressable progress)
            throws IOException {
        return noted(super.append(path, flags, bufferSize, progress), path);
    }

    @Override
    public FSDataOutputStream append(
            Path path,
            EnumSet<CreateFlag> flags,
            int bufferSize,
            Progressable progress,
            InetSocketAddress[] favored)
            throws IOException {
        return noted(super.append(path, flags, bufferSize, progress, favored), path);
    }

    @Override
    public HdfsDataOutputStreamBuilder createFile(Path path) {
        changed(path);
        return super.createFile(path);
    }

    @Override
    public HdfsDataOutputStreamBuilder appendFile(Path path) {
        changed(path);
        return super.appendFile(path);
    }

    @Override
    public boolean rename(Path from, Path to) throws IOException {
        try {
            return super.rename(from, to);
        } finally {
            treeChanged(from);
            treeChanged(to);
        }
    }

    @Override
    public void rename(Path from, Path to, Rename... options) throws IOException {
        try {
            super.rename(from, to, options);
        } finally {
            treeChanged(from);
            treeChanged(to);
        }
    }

    @Override
    public boolean delete(Path path, boolean recursive) throws IOException {
        try {
            return super.delete(path, recursive);
        } finally {
            treeChanged(path);
        }
    }

    @Override
    public boolean mkdirs(Path path, FsPermission permission) throws IOException {
        try {
            return super.mkdirs(path, permission);
        } finally {
            changed(path);
        }
    }

    @Override
    public boolean truncate(Path path, long length) throws IOException {
        try {
            return super.truncate(path, length);
        } finally {
            changed(path);
        }
    }

    @Override
    public void concat(Path path, Path[] sources) throws IOException {
        try {
            super.concat(path, sources);
        } finally {
            changed(path);
            for (Path each : sources) {
                changed(each);
            }
        }
    }

    @Override
    public void setTimes(Path path, long mtime, long atime) throws IOException {
        try {
            super.setTimes(path, mtime, atime);
        } finally {
            changed(path);
        }
    }

    @Override
    public void close() throws IOException {
        try {
            super.close();
        } finally {
            if (cache != null) {
                cache.close();
            }
        }
    }

    private FSDataOutputStream noted(FSDataOutputStream out, Path path) throws IOException {
        changed(path);
        if (cache == null) {
            return out;
        }
        HdfsDataOutputStream own = NotedHdfsStream.of(out, statistics, () -> changed(path));
        return own != null ? own : cache.noted(out, path);
    }

    private void changed(Path path) {
        if (cache != null) {
            cache.changed(path);
        }
    }

    private void treeChanged(Path path) {
        if (cache != null) {
            cache.treeChanged(path);
        }
    }

    /** HDFS as it is without the cache. */
    private final class Plain implements Connector {
        @Override
        public FileStatus status(Path path) throws IOException {
            return TransparentHdfsFileSystem.super.getFileStatus(path);
        }

        @Override
        public FileStatus[] list(Path path) throws IOException {
            return TransparentHdfsFileSystem.super.listStatus(path);
        }

        @Override
        public FSDataInputStream open(FileStatus status) throws IOException {
            return TransparentHdfsFileSystem.super.open(
                    status.getPath(), getConf().getInt("io.file.buffer.size", 4096));
        }
    }
}
