package io.millpond.fs;

import io.millpond.fs.local.Meta;
import io.millpond.fs.local.Mount;
import java.io.Closeable;
import java.io.IOException;
import java.net.URI;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.LocalFileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.security.UserGroupInformation;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The engine's own connector to one mount's store, with the engine's credentials: what a read falls
 * back to. It is made in the background when the mount is first used, so that whether there is a
 * way back is known before it is needed.
 *
 * <p>Cached bytes and the store's are mixed in one stream only where they are surely of one
 * version. Both sides name it where the connector tells entity tags, for local files and for HDFS. Some
 * connectors tell length and modification time alone; times count whole seconds in some stores, so
 * these prove a version only if the file was opened more than {@link #SETTLED_MS} after it was
 * modified: what replaces it later has another time, so they are compared after each read that
 * continues cached bytes. A younger file is read from the store from the start; where the connector
 * turns out to be such a one in mid-stream, the read fails as for a file that changed, and opening
 * again helps: not on Hadoop 2.7, where no connector tells tags. Without a lease and without a
 * strong version a stream reads from the store from the start.
 */
final class DirectStore implements Closeable {
    static final long SETTLED_MS = 2000;
    private static final Logger LOG = LoggerFactory.getLogger(DirectStore.class);
    private static final String NAME_SERVICES = "dfs.nameservices";
    private static final String NAME_NODES = "dfs.ha.namenodes.";

    private final Mount mount;
    private final Configuration conf;
    private final UserGroupInformation user;
    private final String base;
    private CompletableFuture<Connector> made;
    /** What the last status showed; until one was seen, what this Hadoop has room for. */
    private volatile boolean tellsVersions = HadoopMaker.INSTANCE.knowsEtags();

    DirectStore(Mount mount, Configuration engine, UserGroupInformation user) {
        this.mount = mount;
        this.conf = configuration(mount, engine);
        this.user = user;
        this.base = mount.uri("");
    }

    /** A store read through a connector that is there, under the name it has for the store. */
    DirectStore(Mount mount, Connector connector, String base) {
        this.mount = mount;
        this.conf = null;
        this.user = null;
        this.base = base;
        this.made = CompletableFuture.completedFuture(connector);
    }

    Mount mount() {
        return mount;
    }

    /** Starts making the connector; returns at once. */
    void prepare() {
        start();
    }

    /** {@code ready}, {@code preparing}, or {@code impossible, because …}. */
    String state() {
        CompletableFuture<Connector> future = start();
        if (!future.isDone()) {
            return "preparing";
        }
        try {
            future.get();
            return "ready";
        } catch (ExecutionException e) {
            return "impossible, because " + e.getCause();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return "preparing";
        }
    }

    /** The connector; waits until it is made. StoreNotSupported where there is none. */
    Connector connector() throws IOException {
        try {
            return start().get();
        } catch (ExecutionException e) {
            StoreNotSupportedException typed =
                    new StoreNotSupportedException(
                            "the engine can't read " + mount.storeUri() + " by itself",
                            String.valueOf(e.getCause()),
                            "Give the engine its connector and credentials for direct reads");
            typed.initCause(e.getCause());
            throw typed;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            java.io.InterruptedIOException io =
                    new java.io.InterruptedIOException("interrupted while making the connector");
            io.initCause(e);
            throw io;
        }
    }

    FileStatus status(String path) throws IOException {
        return connector().status(uri(path));
    }

    FileStatus[] list(String path) throws IOException {
        return connector().list(uri(path));
    }

    /** What the meta of a path of this mount is filed under. */
    String storePath(String path) {
        return mount.storePath(mount.key(path));
    }

    Path uri(String path) {
        return new Path(base + mount.key(path));
    }

    /** What the store says of a path of this mount. */
    StatusRow row(String path, FileStatus status) {
        if (status.isDirectory()) {
            return StatusRow.directory(path, status.getModificationTime());
        }
        return new StatusRow(
                path,
                false,
                status.getLen(),
                status.getModificationTime(),
                versionOf(status),
                status);
    }

    /** The version the store tells for a status, or "" where it tells none that is strong. */
    String versionOf(FileStatus status) {
        if (isLocal()) {
            return LocalVersion.of(status);
        }
        if (isHdfs()) {
            // Engines make statuses of their own, with a length and no time.
            boolean timed = status.getModificationTime() > 0;
            long sinceMs = System.currentTimeMillis() - status.getModificationTime();
            return timed && sinceMs > SETTLED_MS
                    ? status.getLen() + ":" + status.getModificationTime()
                    : "";
        }
        String etag = HadoopMaker.INSTANCE.etag(status);
        boolean strong = etag != null && !etag.isEmpty() && !etag.startsWith("W/");
        tellsVersions = strong;
        if (!strong) {
            return "";
        }
        String bare = etag.replace("\"", "");
        return bare + ":" + status.getLen();
    }

    /**
     * Whether {@code status} is this version: by strong version where both sides have one, else by
     * length and modification time, as far as these prove it.
     */
    boolean same(FileStatus status, FileVersion file) {
        String theirs = versionOf(status);
        if (!theirs.isEmpty() && !file.version().isEmpty()) {
            return isLocal()
                    ? LocalVersion.same(theirs, file.version())
                    : theirs.equals(file.version());
        }
        return status.getLen() == file.length()
                && sameTime(status.getModificationTime(), file.mtimeMs())
                && (file.direct() != null || file.settled());
    }

    /** Whether a meta is of the version that {@code row} names: by its own name, or the store's. */
    boolean holds(Meta meta, StatusRow row) {
        String named = row.version();
        boolean born = Meta.isBorn(meta.version()) && !Meta.isBorn(named);
        String version = born ? meta.storeVersion() : meta.version();
        if (row.directory() || named.isEmpty() || meta.length() != row.length()) {
            return false;
        }
        return isLocal() ? LocalVersion.same(named, version) : named.equals(version);
    }

    /** Whether two times are one: of S3 a LIST tells milliseconds, a HEAD whole seconds. */
    boolean sameTime(long oneMs, long otherMs) {
        boolean coarse = oneMs % 1000 == 0 || otherMs % 1000 == 0;
        boolean second = coarse && mount.scheme().equals("s3a");
        return oneMs == otherMs || second && oneMs / 1000 == otherMs / 1000;
    }

    /** Whether cached bytes of a file may be followed by the store's, as far as is known. */
    boolean mayMix(FileVersion file) {
        return isLocal() || isHdfs() || tellsVersions || file.settled();
    }

    /**
     * Whether what the connector has read is of the version it opened only if the store says so
     * afterwards: it opens paths, not versions.
     */
    boolean provesAfterwards(FileVersion file) {
        return isLocal() || file.direct() == null && !isHdfs() && !tellsVersions;
    }

    /** There times count milliseconds, so that length and time make a version. */
    private boolean isHdfs() {
        return mount.scheme().equals("hdfs");
    }

    boolean isLocal() {
        return mount.scheme().equals("file");
    }

    @Override
    public void close() throws IOException {
        CompletableFuture<Connector> future;
        synchronized (this) {
            future = made;
        }
        if (future != null && future.isDone() && !future.isCompletedExceptionally()) {
            future.join().close();
        }
    }

    private synchronized CompletableFuture<Connector> start() {
        if (made == null) {
            CompletableFuture<Connector> future = new CompletableFuture<>();
            Thread maker = new Thread(() -> make(future), "millpond-fallback");
            maker.setDaemon(true);
            made = future;
            maker.start();
        }
        return made;
    }

    private void make(CompletableFuture<Connector> future) {
        URI uri = URI.create(mount.storeUri().replace(" ", "%20"));
        try {
            FileSystem connector =
                    user.doAs(
                            (java.security.PrivilegedExceptionAction<FileSystem>)
                                    () -> FileSystem.newInstance(uri, conf));
            if (connector instanceof LocalFileSystem) {
                connector = ((LocalFileSystem) connector).getRaw();
            }
            future.complete(new FileSystemConnector(connector, true));
            LOG.info("{}: fallback: ready ({})", mount.path(), mount.storeUri());
        } catch (InterruptedException | IOException | RuntimeException | LinkageError e) {
            boolean wrapped = e instanceof RuntimeException && e.getCause() != null;
            Throwable why = wrapped ? e.getCause() : e;
            future.completeExceptionally(why);
            LOG.warn("{}: fallback: impossible, because {}", mount.path(), why.toString());
        }
    }

    /** The engine's configuration, completed by the mount's where the engine is silent. */
    static Configuration configuration(Mount mount, Configuration engine) {
        Configuration own = copy(engine);
        own.setBoolean(ClientConf.TRANSPARENT, false);
        for (Map.Entry<String, String> each : mount.directConf().entrySet()) {
            if (silent(engine, each.getKey())) {
                own.set(each.getKey(), each.getValue(), "mount " + mount.path());
            }
        }
        nameService(own, mount);
        return own;
    }

    /** Hadoop looks for a name service's NameNodes only among those it knows by name. */
    private static void nameService(Configuration own, Mount mount) {
        String name = mount.root();
        boolean known = own.getTrimmedStringCollection(NAME_SERVICES).contains(name);
        if (mount.scheme().equals("hdfs") && own.get(NAME_NODES + name) != null && !known) {
            String others = own.get(NAME_SERVICES, "");
            own.set(NAME_SERVICES, others.isEmpty() ? name : others + ',' + name);
        }
    }

    /**
     * Presto hands out configurations that pass each question on to another one: of these, Hadoop's
     * own copy has nothing but the defaults.
     */
    private static Configuration copy(Configuration engine) {
        Configuration own = new Configuration(engine);
        own.setClassLoader(engine.getClassLoader());
        for (Map.Entry<String, String> each : engine) {
            if (!each.getValue().equals(own.getRaw(each.getKey()))) {
                own.set(each.getKey(), each.getValue(), "engine");
            }
        }
        return own;
    }

    private static boolean silent(Configuration engine, String key) {
        String[] sources = engine.get(key) == null ? null : engine.getPropertySources(key);
        return sources == null
                || sources.length == 0
                || sources[sources.length - 1].endsWith("-default.xml");
    }
}
