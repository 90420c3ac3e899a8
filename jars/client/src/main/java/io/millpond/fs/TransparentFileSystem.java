package io.millpond.fs;

import java.io.FileNotFoundException;
import java.io.IOException;
import java.net.URI;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.BlockLocation;
import org.apache.hadoop.fs.CreateFlag;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FSDataOutputStreamBuilder;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.FilterFileSystem;
import org.apache.hadoop.fs.FutureDataInputStreamBuilder;
import org.apache.hadoop.fs.LocatedFileStatus;
import org.apache.hadoop.fs.MultipartUploaderBuilder;
import org.apache.hadoop.fs.Options.ChecksumOpt;
import org.apache.hadoop.fs.Options.Rename;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RemoteIterator;
import org.apache.hadoop.fs.impl.OpenFileParameters;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.util.Progressable;
import org.apache.hadoop.util.ReflectionUtils;

/**
 * The cache in front of any other file system: {@code fs.<scheme>.impl} names this class, {@code
 * fs.cache.delegate.<scheme>} the one that it stands in front of. Files that a mount covers are read
 * through its blocks; the delegate does everything else, and what it writes is forgotten here.
 *
 * <p>Methods that name types of Hadoop 3 are never called on Hadoop 2.7, and hand over to classes
 * that are not loaded there.
 */
public final class TransparentFileSystem extends FilterFileSystem {
    private String scheme = "";
    private final LatelyTold told = new LatelyTold(System::nanoTime);
    private Transparent cache;

    @Override
    public void initialize(URI name, Configuration conf) throws IOException {
        scheme = name.getScheme();
        fs = delegate(scheme, conf);
        fs.initialize(name, conf);
        super.initialize(name, conf);
        cache = Transparent.of(fs, new FileSystemConnector(fs, false), statistics);
    }

    private static FileSystem delegate(String scheme, Configuration conf)
            throws InvalidSettingException {
        String key = ClientConf.DELEGATE + scheme;
        String named = conf.getTrimmed(key, "");
        try {
            if (!named.isEmpty() && !named.equals(TransparentFileSystem.class.getName())) {
                Class<?> type = conf.getClassByName(named);
                return ReflectionUtils.newInstance(type.asSubclass(FileSystem.class), conf);
            }
        } catch (ClassNotFoundException | RuntimeException | LinkageError e) {
            InvalidSettingException typed = bad(key, named, e.toString());
            typed.initCause(e);
            throw typed;
        }
        String why = named.isEmpty() ? "it is not set" : "it names the cache itself";
        throw bad(key, named, why);
    }

    private static InvalidSettingException bad(String key, String named, String cause) {
        return new InvalidSettingException(
                "setting " + key + " is '" + named + "'",
                cause,
                "Name the file system class that reads these URIs without the cache");
    }

    @Override
    public String getScheme() {
        return scheme;
    }

    @Override
    public FSDataInputStream open(Path path, int bufferSize) throws IOException {
        FSDataInputStream in = cache == null ? null : planned(path);
        return in != null ? in : super.open(path, bufferSize);
    }

    private FSDataInputStream planned(Path path) throws IOException {
        Path whole = makeQualified(path);
        return cache.open(
                path, ReadPolicy.ADAPTIVE, Plan.UNKNOWN, store -> told.plan(whole, store));
    }

    @Override
    public FileStatus getFileStatus(Path path) throws IOException {
        return told.note(super.getFileStatus(path));
    }

    @Override
    public FileStatus[] listStatus(Path path) throws IOException {
        FileStatus[] found = super.listStatus(path);
        for (FileStatus each : found) {
            told.note(each);
        }
        return found;
    }

    @Override
    public FutureDataInputStreamBuilder openFile(Path path) {
        return Hadoop3Transparent.openFile(this, path);
    }

    @Override
    protected CompletableFuture<FSDataInputStream> openFileWithOptions(
            Path path, OpenFileParameters parameters) throws IOException {
        FSDataInputStream in = Hadoop3Transparent.open(cache, path, parameters);
        return in != null
                ? CompletableFuture.completedFuture(in)
                : super.openFileWithOptions(path, parameters);
    }

    @Override
    public BlockLocation[] getFileBlockLocations(FileStatus file, long start, long count)
            throws IOException {
        BlockLocation[] ours = cache == null ? null : cache.locations(file, start, count);
        return ours != null ? ours : super.getFileBlockLocations(file, start, count);
    }

    @Override
    public RemoteIterator<LocatedFileStatus> listLocatedStatus(Path path)
            throws FileNotFoundException, IOException {
        RemoteIterator<LocatedFileStatus> given = super.listLocatedStatus(path);
        return cache == null
                ? given
                : new RemoteIterator<LocatedFileStatus>() {
                    @Override
                    public boolean hasNext() throws IOException {
                        return given.hasNext();
                    }

                    @Override
                    public LocatedFileStatus next() throws IOException {
                        return located(told.note(given.next()));
                    }
                };
    }

    /** With our locations, unless the status is of a class that tells more than Hadoop's own. */
    private LocatedFileStatus located(LocatedFileStatus file) {
        BlockLocation[] ours =
                file.getClass() == LocatedFileStatus.class
                        ? cache.locations(file, 0, file.getLen())
                        : null;
        return ours == null ? file : new LocatedFileStatus(file, ours);
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
    @SuppressWarnings("rawtypes")
    public FSDataOutputStreamBuilder createFile(Path path) {
        return Hadoop3Transparent.noted(this, cache, path, super.createFile(path));
    }

    /** Hadoop's filter has none, whatever stands behind it. */
    @Override
    @SuppressWarnings("rawtypes")
    public MultipartUploaderBuilder createMultipartUploader(Path base) throws IOException {
        StoreChanges changes = cache == null ? null : cache.changes();
        return Hadoop3Uploads.noted(fs.createMultipartUploader(base), changes);
    }

    @Override
    public FSDataOutputStream append(Path path, int bufferSize, Progressable progress)
            throws IOException {
        return noted(super.append(path, bufferSize, progress), path);
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
    protected void rename(Path from, Path to, Rename... options) throws IOException {
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
            List<Path> all = new ArrayList<>(List.of(sources));
            all.add(path);
            all.forEach(this::changed);
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
    public void copyFromLocalFile(boolean move, Path from, Path to) throws IOException {
        try {
            super.copyFromLocalFile(move, from, to);
        } finally {
            treeChanged(to);
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
    public void copyFromLocalFile(boolean move, boolean overwrite, Path[] from, Path to)
            throws IOException {
        try {
            super.copyFromLocalFile(move, overwrite, from, to);
        } finally {
            treeChanged(to);
        }
    }

    @Override
    public void completeLocalOutput(Path output, Path local) throws IOException {
        try {
            super.completeLocalOutput(output, local);
        } finally {
            treeChanged(output);
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
        return cache == null ? out : cache.noted(out, path);
    }

    private void changed(Path path) {
        told.forget(makeQualified(path));
        if (cache != null) {
            cache.changed(path);
        }
    }

    private void treeChanged(Path path) {
        told.clear();
        if (cache != null) {
            cache.treeChanged(path);
        }
    }
}
