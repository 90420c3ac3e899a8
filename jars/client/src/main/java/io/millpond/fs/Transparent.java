package io.millpond.fs;

import io.millpond.fs.local.CacheDir;
import io.millpond.fs.rpc.Fallback;
import java.io.Closeable;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.net.URI;
import java.util.Collection;
import java.util.function.Function;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.BlockLocation;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * The cache behind a store's own URIs: what a file system that stands in front of a store asks
 * before it reads, and tells after it writes.
 *
 * <p>A file is read through the blocks of the mount that covers its URI. Everything else is the
 * store's own connector's: what no mount covers, what the globs exclude, what is not to be cached,
 * and any trouble on the way to a stream, each counted by reason. So nothing here fails but a
 * setting that is wrong. Where the engine planned on a status, the bytes are of that version, or the
 * connector is left to say that the file changed.
 */
public final class Transparent implements Closeable {
    private final FileSystem system;
    private final Client client;
    private final Coverage coverage;
    private final Prefixes prefixes;
    private final DirectStores stores;
    private final Resolver resolver;
    private final FileSystem.Statistics statistics;
    private final StoreChanges changes;
    private final String engineKeys;
    private volatile boolean closed;

    private Transparent(
            FileSystem system,
            URI uri,
            Configuration conf,
            Connector connector,
            FileSystem.Statistics statistics)
            throws InvalidSettingException {
        this.system = system;
        this.statistics = statistics;
        client = Client.of(ClientConf.of(conf));
        coverage = new Coverage(uri, conf, System.getenv());
        prefixes = Prefixes.of(conf);
        changes = new StoreChanges(client, coverage, system::makeQualified);
        engineKeys = EngineKeys.of(uri, conf);
        String authority = uri.getAuthority() == null ? "" : uri.getAuthority();
        String base = uri.getScheme() + "://" + authority + '/';
        stores = new DirectStores(mount -> new DirectStore(mount, connector, base));
        resolver = new Resolver(client, stores, new Namespace(client, null), false);
    }

    /**
     * The cache in front of an initialised file system; null where it is switched off.
     *
     * @param connector how {@code system} would read without the cache
     * @param statistics where the bytes read are counted
     * @throws InvalidSettingException for a setting that is wrong
     */
    public static Transparent of(
            FileSystem system, Connector connector, FileSystem.Statistics statistics)
            throws InvalidSettingException {
        Configuration conf = system.getConf();
        return conf.getBoolean(ClientConf.TRANSPARENT, true)
                ? new Transparent(system, system.getUri(), conf, connector, statistics)
                : null;
    }

    /** A stream through the cache; null: the connector has to open the file. */
    public FSDataInputStream open(Path path) throws InterruptedIOException {
        return open(path, ReadPolicy.ADAPTIVE, Plan.UNKNOWN, store -> Plan.NONE);
    }

    /** As the other; {@code planned} is what the engine knows of the file. */
    FSDataInputStream open(
            Path path, ReadPolicy policy, long splitEnd, Function<DirectStore, Plan> planned)
            throws InterruptedIOException {
        try {
            Coverage.Covered at = closed ? null : find(path, true);
            if (at == null) {
                return null;
            }
            FileVersion file = version(at.path, planned.apply(stores.of(at.mount)));
            if (file == null) {
                return null;
            }
            FileReader reader = new FileReader(client, file, policy, splitEnd);
            return new FSDataInputStream(HadoopMaker.INSTANCE.stream(reader, statistics));
        } catch (InterruptedIOException e) {
            throw e;
        } catch (PathNotFoundException | IsADirectoryException e) {
            return null; // in the connector's own words
        } catch (IOException | RuntimeException e) {
            client.fallback(Fallback.SIDECAR_ERROR, path + ": " + e);
            return null;
        }
    }

    /** The version to read from blocks; null, and counted, where the store is to be read. */
    private FileVersion version(String path, Plan plan) throws IOException {
        FileVersion file = resolver.open(path, false, plan);
        if (!plan.names(file) && file.told() == null) {
            file = resolver.open(path, true, plan);
        }
        if (!plan.names(file)) {
            client.fallback(Fallback.OTHER_VERSION, path + ": planned with " + plan);
            return null;
        }
        if (file.direct() != null) {
            client.fallback(file.direct(), path);
            return null;
        }
        return file;
    }

    /** Where a file's sections are cached; null: the connector knows better. */
    public BlockLocation[] locations(FileStatus file, long start, long count) {
        if (file == null || file.isDirectory() || start < 0 || count < 0) {
            return null;
        }
        String[] hosts = client.hosts();
        if (hosts.length == 0 || find(file.getPath(), false) == null) {
            return null;
        }
        return start >= file.getLen()
                ? Locations.NONE.clone()
                : Locations.of(hosts, file.getLen(), start, count);
    }

    /** What the engine writes is told to this. */
    StoreChanges changes() {
        return changes;
    }

    /** The store has changed at {@code path}: a file or a directory, not what is below it. */
    public void changed(Path path) {
        changes.changed(path);
    }

    /** The store has changed at each of these paths. */
    public void changed(Collection<Path> paths) {
        changes.changed(paths);
    }

    /** The store has changed at {@code path} or anywhere below it. */
    public void treeChanged(Path path) {
        changes.treeChanged(path);
    }

    /** A stream that calls {@link #changed} when it is closed. */
    public FSDataOutputStream noted(FSDataOutputStream out, Path path) throws IOException {
        return changes.noted(out, path);
    }

    /** Nothing is opened through the cache from now on; what is open and what is written goes on. */
    @Override
    public void close() {
        closed = true;
        client.reporter().flush(true);
    }

    private Coverage.Covered find(Path path, boolean count) {
        CacheDir dir = client.dirOrNull();
        if (dir == null) {
            return none(count, Fallback.NO_CACHE_DIR, client.whyStoreOnly());
        }
        String key = StoreChanges.key(system.makeQualified(path));
        Coverage.Covered at = coverage.find(dir.mounts(), key);
        if (at == null) {
            return none(count, Fallback.NOT_MOUNTED, coverage.uri(key));
        }
        if (!engineKeys.isEmpty()) {
            return none(count, Fallback.EXCLUDED, "the engine alone has the keys: " + engineKeys);
        }
        return prefixes.include(coverage.uri(key))
                ? at
                : none(count, Fallback.EXCLUDED, coverage.uri(key));
    }

    private Coverage.Covered none(boolean count, Fallback why, String detail) {
        if (count) {
            client.fallback(why, detail);
        }
        return null;
    }
}
