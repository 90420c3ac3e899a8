package io.millpond.fs.s3a;

import io.millpond.fs.Connector;
import io.millpond.fs.Hadoop3Transparent;
import io.millpond.fs.StoreNotSupportedException;
import io.millpond.fs.Transparent;
import java.io.IOException;
import java.net.URI;
import java.util.EnumSet;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.BlockLocation;
import org.apache.hadoop.fs.BulkDelete;
import org.apache.hadoop.fs.CreateFlag;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FSDataOutputStreamBuilder;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.impl.OpenFileParameters;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.fs.s3a.S3AFileSystem;
import org.apache.hadoop.fs.s3a.impl.S3AMultipartUploaderBuilder;
import org.apache.hadoop.util.Progressable;
import org.apache.hadoop.util.VersionInfo;
import org.apache.hadoop.util.functional.FutureIO;

/**
 * The S3A connector with the cache behind it: {@code fs.s3a.impl}. Objects that a mount covers are
 * read through its blocks; everything else is S3A's, and what it writes is forgotten by the cache.
 * Being a subclass, it is an S3A file system to the committers.
 */
public final class TransparentS3AFileSystem extends S3AFileSystem {
    private Transparent cache;

    @Override
    public void initialize(URI name, Configuration conf) throws IOException {
        try {
            super.initialize(name, conf);
        } catch (LinkageError e) {
            throw unlinked(name, e);
        }
        cache = Transparent.of(this, new Plain(), statistics);
    }

    private static IOException unlinked(URI name, LinkageError e) {
        StoreNotSupportedException typed =
                new StoreNotSupportedException(
                        "Hadoop's S3A connector can't open " + name,
                        e.toString(),
                        "Put hadoop-aws "
                                + VersionInfo.getVersion()
                                + ", of the version of Hadoop here, and all that it needs on the"
                                + " class path");
        typed.initCause(e);
        return typed;
    }

    @Override
    public FSDataInputStream open(Path path, int bufferSize) throws IOException {
        FSDataInputStream in = cache == null ? null : cache.open(path);
        return in != null ? in : super.open(path, bufferSize);
    }

    @Override
    public CompletableFuture<FSDataInputStream> openFileWithOptions(
            Path path, OpenFileParameters parameters) throws IOException {
        FSDataInputStream in = Hadoop3Transparent.open(cache, path, parameters);
        return in != null
                ? CompletableFuture.completedFuture(in)
                : super.openFileWithOptions(path, parameters);
    }

    /** S3A's own are all at "localhost", which engines drop. Its listings ask here. */
    @Override
    public BlockLocation[] getFileBlockLocations(FileStatus file, long start, long count)
            throws IOException {
        BlockLocation[] ours = cache == null ? null : cache.locations(file, start, count);
        return ours != null ? ours : super.getFileBlockLocations(file, start, count);
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
    @SuppressWarnings("rawtypes")
    public FSDataOutputStreamBuilder createFile(Path path) {
        return Hadoop3Transparent.noted(this, cache, path, super.createFile(path));
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

    /** What {@code delete} and {@code deleteOnExit} come to. */
    @Override
    protected boolean deleteWithoutCloseCheck(Path path, boolean recursive) throws IOException {
        try {
            return super.deleteWithoutCloseCheck(path, recursive);
        } finally {
            treeChanged(path);
        }
    }

    @Override
    public boolean mkdirs(Path path, FsPermission permission) throws IOException {
        try {
            return super.mkdirs(path, permission);
        } finally {
            if (cache != null) {
                cache.changed(path);
            }
        }
    }

    @Override
    public void copyFromLocalFile(boolean move, boolean overwrite, Path from, Path to)
            throws IOException {
        try {
            super.copyFromLocalFile(move, overwrite, from, to);
        } finally {
            treeChanged(to);
        }
    }

    @Override
    public BulkDelete createBulkDelete(Path base) throws IOException {
        BulkDelete given = super.createBulkDelete(base);
        return cache == null ? given : new NotedBulkDelete(given, cache);
    }

    @Override
    public S3AMultipartUploaderBuilder createMultipartUploader(Path base) throws IOException {
        S3AMultipartUploaderBuilder given = super.createMultipartUploader(base);
        return cache == null ? given : NotedUploads.of(this, base, cache);
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
        return cache == null ? out : cache.noted(out, path);
    }

    private void treeChanged(Path path) {
        if (cache != null) {
            cache.treeChanged(path);
        }
    }

    /** S3A as it is without the cache. */
    private final class Plain implements Connector {
        @Override
        public FileStatus status(Path path) throws IOException {
            return TransparentS3AFileSystem.super.getFileStatus(path);
        }

        @Override
        public FileStatus[] list(Path path) throws IOException {
            return TransparentS3AFileSystem.super.listStatus(path);
        }

        /** By the status, so that S3A asks for that very entity tag. */
        @Override
        public FSDataInputStream open(FileStatus status) throws IOException {
            OpenFileParameters parameters =
                    new OpenFileParameters()
                            .withMandatoryKeys(Set.of())
                            .withOptionalKeys(Set.of())
                            .withOptions(new Configuration(false))
                            .withBufferSize(getConf().getInt("io.file.buffer.size", 4096))
                            .withStatus(status);
            return FutureIO.awaitFuture(
                    TransparentS3AFileSystem.super.openFileWithOptions(
                            status.getPath(), parameters));
        }
    }
}
