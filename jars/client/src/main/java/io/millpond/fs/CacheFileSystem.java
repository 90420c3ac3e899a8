package io.millpond.fs;

import io.millpond.fs.local.Mount;
import io.millpond.fs.local.Names;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.net.URI;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.BlockLocation;
import org.apache.hadoop.fs.ContentSummary;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStreamBuilder;
import org.apache.hadoop.fs.FileChecksum;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.LocatedFileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.PathFilter;
import org.apache.hadoop.fs.RemoteIterator;
import org.apache.hadoop.fs.StorageStatistics;
import org.apache.hadoop.fs.impl.OpenFileParameters;
import org.apache.hadoop.fs.permission.FsAction;
import org.apache.hadoop.security.AccessControlException;
import org.apache.hadoop.security.UserGroupInformation;

/**
 * {@code cache://}: the namespace of mounts, read from this node's cache. What is cached is read
 * from local disk without asking anyone, what is not is fetched by the sidecar, what is written
 * goes through it to the store, and where it can't help the engine's own connector does either.
 *
 * <p>Methods that name types of Hadoop 3 are never called on Hadoop 2.7, and hand over to classes
 * that are not loaded there.
 */
public class CacheFileSystem extends WritableFileSystem {
    static final String SCHEME = Names.SCHEME;
    private static final String CAPABILITY = "fs.capability.";

    private URI uri;
    private Path workingDirectory;
    private Client client;
    private DirectStores stores;
    private Resolver resolver;
    private Lister lister;
    private Writes writes;
    private String writeType;

    @Override
    public void initialize(URI name, Configuration conf) throws IOException {
        Names.parseUri(name.toString());
        super.initialize(name, conf);
        setConf(conf);
        String authority = name.getAuthority() == null ? "" : name.getAuthority();
        uri = URI.create(SCHEME + "://" + authority + "/");
        workingDirectory = qualified("/");
        ClientConf settings = ClientConf.of(conf);
        client = Client.of(settings);
        stores =
                new DirectStores(
                        conf, UserGroupInformation.getCurrentUser(), settings.prepare());
        Namespace namespace = new Namespace(client, settings.mounts());
        resolver = new Resolver(client, stores, namespace, true);
        lister = new Lister(client, stores, namespace, resolver);
        writes = new Writes(client, stores, namespace);
        writeType = settings.writeType();
    }

    @Override
    public String getScheme() {
        return SCHEME;
    }

    @Override
    public URI getUri() {
        return uri;
    }

    /** None: an authority is a cluster's name, nothing to get tokens from. */
    @Override
    public String getCanonicalServiceName() {
        return null;
    }

    @Override
    public Path getWorkingDirectory() {
        return workingDirectory;
    }

    @Override
    public void setWorkingDirectory(Path path) {
        workingDirectory = makeQualified(path);
    }

    @Override
    @SuppressWarnings("deprecation")
    public long getDefaultBlockSize() {
        return Locations.SECTION_BYTES;
    }

    @Override
    public long getDefaultBlockSize(Path path) {
        return Locations.SECTION_BYTES;
    }

    @Override
    public FileStatus getFileStatus(Path path) throws IOException {
        return HadoopMaker.INSTANCE.status(resolver.status(name(path)), makeQualified(path));
    }

    @Override
    public FSDataInputStream open(Path path, int bufferSize) throws IOException {
        return open(path, ReadPolicy.ADAPTIVE, Plan.UNKNOWN, Plan.NONE);
    }

    FSDataInputStream open(Path path, ReadPolicy policy, long splitEnd, Plan plan)
            throws IOException {
        String name = name(path);
        FileVersion file = resolver.open(name, false, plan);
        if (!plan.matches(file)) {
            file = file.told() != null ? file : resolver.open(name, true, Plan.NONE);
            if (!plan.matches(file)) {
                throw file.changed("planned with " + plan + ", now length " + file.length());
            }
        }
        FileReader reader = new FileReader(client, file, policy, splitEnd);
        return new FSDataInputStream(HadoopMaker.INSTANCE.stream(reader, statistics));
    }

    @Override
    protected CompletableFuture<FSDataInputStream> openFileWithOptions(
            Path path, OpenFileParameters parameters) throws IOException {
        return Hadoop3Open.open(this, path, parameters);
    }

    @Override
    public FSDataOutputStreamBuilder<?, ?> createFile(Path path) {
        return Hadoop3Create.builder(this, path);
    }

    @Override
    public FileStatus[] listStatus(Path path) throws IOException {
        return located(path, lister.list(name(path)));
    }

    @Override
    public RemoteIterator<FileStatus> listStatusIterator(Path path) throws IOException {
        return Iterators.of(listStatus(path));
    }

    @Override
    public RemoteIterator<LocatedFileStatus> listLocatedStatus(Path path) throws IOException {
        return Iterators.of(located(path, lister.list(name(path))));
    }

    @Override
    protected RemoteIterator<LocatedFileStatus> listLocatedStatus(Path path, PathFilter filter)
            throws IOException {
        return Iterators.filtered(located(path, lister.list(name(path))), filter);
    }

    @Override
    public RemoteIterator<LocatedFileStatus> listFiles(Path path, boolean recursive)
            throws IOException {
        List<StatusRow> rows = recursive ? lister.listFiles(name(path)) : null;
        return rows == null
                ? super.listFiles(path, recursive)
                : Iterators.of(located(path, rows));
    }

    @Override
    public ContentSummary getContentSummary(Path path) throws IOException {
        StatusRow top = resolver.status(name(path));
        long bytes = top.length();
        long files = top.directory() ? 0 : 1;
        long directories = 1 - files;
        if (top.directory()) {
            for (StatusRow row : lister.list(top.path())) {
                ContentSummary below =
                        row.directory() ? getContentSummary(qualified(row.path())) : null;
                bytes += below == null ? row.length() : below.getLength();
                files += below == null ? 1 : below.getFileCount();
                directories += below == null ? 0 : below.getDirectoryCount();
            }
        }
        return new ContentSummary.Builder()
                .length(bytes)
                .fileCount(files)
                .directoryCount(directories)
                .spaceConsumed(bytes)
                .build();
    }

    @Override
    public BlockLocation[] getFileBlockLocations(FileStatus file, long start, long count)
            throws IOException {
        if (file == null) {
            return null;
        }
        if (start < 0 || count < 0) {
            throw new IllegalArgumentException("Invalid start or len parameter");
        }
        return file.isDirectory() || start >= file.getLen()
                ? Locations.NONE.clone()
                : Locations.of(client.hosts(), file.getLen(), start, count);
    }

    @Override
    public FileChecksum getFileChecksum(Path path) throws IOException {
        if (resolver.status(name(path)).directory()) {
            throw new FileNotFoundException("Path is not a file: " + path);
        }
        return null;
    }

    @Override
    public void access(Path path, FsAction mode) throws IOException {
        resolver.status(name(path));
        if (mode.implies(FsAction.WRITE) && writes.mount(name(path)).readOnly()) {
            throw new AccessControlException(path + " lies in a read-only mount");
        }
    }

    @Override
    public boolean hasPathCapability(Path path, String capability) throws IOException {
        switch (capability.toLowerCase(Locale.ENGLISH)) {
            case CAPABILITY + "etags.available":
                return true;
            case CAPABILITY + "paths.read-only-connector":
                return writes.mount(name(path)).readOnly();
            default:
                return super.hasPathCapability(path, capability);
        }
    }

    @Override
    public StorageStatistics getStorageStatistics() {
        return Hadoop3Open.statistics(this);
    }

    /** What this process read and from where, and calls, by the names that reports use. */
    public Map<String, Long> counters() {
        return client.counters().all();
    }

    /** The longest time that this process waited for a sidecar which did not answer. */
    long decideMs() {
        return client.sidecar().decideMs();
    }

    /** Most rounds of Fill that one read of this process waited for. */
    long fillRounds() {
        return client.counters().roundsMax();
    }

    /**
     * For each mount that was used: {@code fallback: ready}, {@code preparing}, or {@code
     * impossible, because …}.
     */
    public Map<String, String> fallback() {
        Map<String, String> states = new TreeMap<>();
        stores.states().forEach((path, state) -> states.put(path, "fallback: " + state));
        return states;
    }

    @Override
    public void close() throws IOException {
        try {
            super.close();
        } finally {
            if (client != null) {
                client.reporter().flush(true);
                stores.close();
            }
        }
    }

    @Override
    String storeUri(Path path) throws IOException {
        String name = name(path);
        Mount mount = resolver.mount(name);
        return mount.uri(mount.key(name));
    }

    private LocatedFileStatus[] located(Path asked, List<StatusRow> rows) {
        String[] hosts = client.hosts();
        LocatedFileStatus[] all = new LocatedFileStatus[rows.size()];
        for (int i = 0; i < all.length; i++) {
            StatusRow row = rows.get(i);
            all[i] = HadoopMaker.INSTANCE.located(row, qualified(row.path()), hosts);
        }
        return all;
    }

    private Path qualified(String name) {
        return new Path(SCHEME, uri.getAuthority(), name);
    }

    @Override
    Writes writes() {
        return writes;
    }

    Client client() {
        return client;
    }

    @Override
    String writeType() {
        return writeType;
    }

    @Override
    String name(Path path) throws IOException {
        checkPath(path);
        Path absolute = path.isAbsolute() ? path : new Path(workingDirectory, path);
        return Names.checkPath(absolute.toUri().getPath());
    }
}
