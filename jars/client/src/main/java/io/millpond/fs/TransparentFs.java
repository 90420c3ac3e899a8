package io.millpond.fs;

import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.util.EnumSet;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.AbstractFileSystem;
import org.apache.hadoop.fs.CreateFlag;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FilterFs;
import org.apache.hadoop.fs.MultipartUploaderBuilder;
import org.apache.hadoop.fs.Options.ChecksumOpt;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.permission.FsPermission;
import org.apache.hadoop.util.Progressable;

/**
 * Has the cache hear of what FileContext writes: {@code fs.AbstractFileSystem.<scheme>.impl}. It
 * stands in front of the store's own class and reads through it: jobs write checkpoints and logs
 * this way, and read their tables otherwise.
 */
public final class TransparentFs extends FilterFs {
    private static final String IMPL = "fs.AbstractFileSystem.%s.impl";
    private static final Map<String, String> OWN =
            Map.of(
                    "hdfs", "org.apache.hadoop.fs.Hdfs",
                    "s3a", "org.apache.hadoop.fs.s3a.S3A");

    private final StoreChanges changes;

    /** The constructor that Hadoop calls. */
    public TransparentFs(URI uri, Configuration conf) throws IOException, URISyntaxException {
        super(delegate(uri, conf));
        changes = StoreChanges.of(uri, conf);
    }

    private static AbstractFileSystem delegate(URI uri, Configuration conf) throws IOException {
        String scheme = uri.getScheme();
        String key = ClientConf.ABSTRACT_DELEGATE + scheme;
        String named = conf.getTrimmed(key, OWN.getOrDefault(scheme, ""));
        if (named.isEmpty() || named.equals(TransparentFs.class.getName())) {
            throw new InvalidSettingException(
                    "setting " + key + " is '" + named + "'",
                    named.isEmpty() ? "it is not set" : "it names the cache itself",
                    "Name the AbstractFileSystem class of these URIs without the cache");
        }
        Configuration own = new Configuration(conf);
        own.set(String.format(IMPL, scheme), named);
        return AbstractFileSystem.createFileSystem(uri, own);
    }

    @Override
    public FSDataOutputStream createInternal(
            Path path,
            EnumSet<CreateFlag> flags,
            FsPermission permission,
            int bufferSize,
            short replication,
            long blockSize,
            Progressable progress,
            ChecksumOpt checksum,
            boolean createParent)
            throws IOException {
        FSDataOutputStream out =
                super.createInternal(
                        path,
                        flags,
                        permission,
                        bufferSize,
                        replication,
                        blockSize,
                        progress,
                        checksum,
                        createParent);
        changed(path);
        return changes == null ? out : changes.noted(out, path);
    }

    @Override
    @SuppressWarnings("rawtypes")
    public MultipartUploaderBuilder createMultipartUploader(Path base) throws IOException {
        return Hadoop3Uploads.noted(super.createMultipartUploader(base), changes);
    }

    @Override
    public void renameInternal(Path from, Path to) throws IOException {
        try {
            super.renameInternal(from, to);
        } finally {
            treeChanged(from);
            treeChanged(to);
        }
    }

    @Override
    public void renameInternal(Path from, Path to, boolean overwrite) throws IOException {
        try {
            super.renameInternal(from, to, overwrite);
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
    public void mkdir(Path path, FsPermission permission, boolean createParent) throws IOException {
        try {
            super.mkdir(path, permission, createParent);
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
    public void setTimes(Path path, long mtime, long atime) throws IOException {
        try {
            super.setTimes(path, mtime, atime);
        } finally {
            changed(path);
        }
    }

    private void changed(Path path) {
        if (changes != null) {
            changes.changed(path);
        }
    }

    private void treeChanged(Path path) {
        if (changes != null) {
            changes.treeChanged(path);
        }
    }
}
