package io.millpond.fs;

import com.google.protobuf.ByteString;
import io.millpond.fs.local.CacheDir;
import io.millpond.fs.local.FileId;
import io.millpond.fs.local.LocalEvents;
import io.millpond.fs.local.Meta;
import io.millpond.fs.local.NodeProperties;
import io.millpond.fs.rpc.Counters;
import io.millpond.fs.rpc.Endpoint;
import io.millpond.fs.rpc.Fallback;
import io.millpond.fs.rpc.RemoteSidecar;
import io.millpond.fs.rpc.Sidecar;
import io.millpond.fs.rpc.SidecarTrouble;
import io.millpond.fs.wire.Wire;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.hadoop.util.VersionInfo;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * This process's view of one cache directory and its sidecar, shared by all file systems and
 * streams: descriptors, the connection, the breaker and the counters exist once per process.
 */
final class Client {
    static final int INLINE_FILE_BYTES = 64 << 10;
    private static final Logger LOG = LoggerFactory.getLogger(Client.class);
    private static final Map<List<Object>, Client> SHARED = new ConcurrentHashMap<>();
    private static final long REOPEN_NS = TimeUnit.SECONDS.toNanos(1);
    private static final int THREADS = 32;

    private final List<Path> candidates;
    private final Path secretFile;
    private final long windowBytes;
    private final Counters counters = new Counters();
    private final Touches touches = new Touches();
    private final Sidecar sidecar;
    private final RemoteSidecar remote;
    private final Reporter reporter;
    private final Invalidations invalidations;
    private final AtomicLong streams = new AtomicLong();
    private final ThreadPoolExecutor executor;
    private volatile CacheDir dir;
    private volatile IOException whyNoDir;
    private long openedAtNs;

    private Client(ClientConf conf) {
        this.candidates = conf.directories();
        this.secretFile = conf.secretFile();
        this.windowBytes = conf.windowBytes();
        this.sidecar =
                new Sidecar(
                        this::endpoint,
                        new Self(),
                        counters,
                        System::nanoTime,
                        TimeUnit.MILLISECONDS.toNanos(conf.silenceMs()),
                        TimeUnit.MILLISECONDS.toNanos(conf.probeMs()));
        this.remote =
                conf.sidecar().isEmpty()
                        ? null
                        : new RemoteSidecar(
                                conf.sidecar(),
                                conf.sidecarToken(),
                                conf.remoteSilenceMs(),
                                conf.probeMs(),
                                counters);
        this.executor =
                new ThreadPoolExecutor(
                        THREADS,
                        THREADS,
                        10,
                        TimeUnit.SECONDS,
                        new LinkedBlockingQueue<>(),
                        task -> {
                            Thread thread = new Thread(task, "millpond-vectored");
                            thread.setDaemon(true);
                            return thread;
                        });
        executor.allowCoreThreadTimeOut(true);
        this.reporter = new Reporter(this);
        this.invalidations = new Invalidations(sidecar);
    }

    /** The client of what {@code conf} names: one per directory, or other node, and process. */
    static Client of(ClientConf conf) {
        Path directory = conf.directory().toAbsolutePath().normalize();
        String secret = String.valueOf(conf.secretFile());
        List<Object> key = List.of(directory, conf.sidecar(), conf.sidecarToken(), secret);
        Client client = SHARED.computeIfAbsent(key, named -> new Client(conf));
        client.reporter.start();
        return client;
    }

    /** The clients of all directories this process has used. */
    static Collection<Client> all() {
        return SHARED.values();
    }

    /** The cache directory. CacheDirUnusable, naming the cause, where there is none. */
    CacheDir dir() throws IOException {
        CacheDir open = dirOrNull();
        if (open != null) {
            return open;
        }
        IOException why = whyNoDir;
        CacheDirUnusableException typed =
                new CacheDirUnusableException(
                        "no cache directory on this node",
                        why.getMessage(),
                        "Start 'millpond serve' here, set "
                                + ClientConf.DIR
                                + ", or for direct reads set "
                                + ClientConf.MOUNTS
                                + " as 'millpond spark-conf' prints it");
        typed.initCause(why);
        throw typed;
    }

    /** The cache directory, or null; one that appears later is found within a second. */
    CacheDir dirOrNull() {
        CacheDir open = dir;
        return open != null ? open : openDir();
    }

    private synchronized CacheDir openDir() {
        boolean due = whyNoDir == null || System.nanoTime() - openedAtNs > REOPEN_NS;
        if (dir == null && due) {
            try {
                CacheDir opened = CacheDir.open(ClientConf.directory(candidates));
                opened.listen(new Events());
                dir = opened;
            } catch (IOException e) {
                whyNoDir = e;
            }
            openedAtNs = System.nanoTime();
        }
        return dir;
    }

    /** Why nothing but the store is read: for the log. */
    String whyStoreOnly() {
        CacheDir open = dir;
        return open == null
                ? "no cache directory on this node, " + whyNoDir
                : open.path() + " has no mounts";
    }

    Sidecar sidecar() {
        return sidecar;
    }

    /** Another node's sidecar, for where this one has none; null where none is named. */
    RemoteSidecar remote() {
        return remote;
    }

    Counters counters() {
        return counters;
    }

    Touches touches() {
        return touches;
    }

    /** What was read since the last call of this. */
    List<Wire.Touch> touched() {
        CacheDir open = dir;
        return touches.drain(open == null ? null : open.blocks());
    }

    Reporter reporter() {
        return reporter;
    }

    Invalidations invalidations() {
        return invalidations;
    }

    long windowBytes() {
        return windowBytes;
    }

    long nextStream() {
        return streams.incrementAndGet();
    }

    void execute(Runnable task) {
        executor.execute(task);
    }

    /** Whether a sidecar lives here, as far as its lease says. */
    boolean leaseGood() {
        CacheDir open = dirOrNull();
        return open != null && open.leaseGood();
    }

    /** Whether what meta and stamps say may be believed without asking. */
    boolean trusted() throws IOException {
        return dir().leaseGood() && sidecar.clocksAgree();
    }

    /** The hosts to name as locations: this node's aliases, never localhost. */
    String[] hosts() {
        CacheDir open = dirOrNull();
        return open == null
                ? new String[0]
                : open.node().aliases().stream()
                        .filter(each -> !each.isEmpty() && !each.equals("localhost"))
                        .toArray(String[]::new);
    }

    FileBlocks blocks(FileVersion file) {
        return new FileBlocks(dir.blocks(), file.id(), file.length());
    }

    /** The content of a small file, where its meta has it by now; else null. */
    ByteBuffer content(FileVersion file) throws IOException {
        Meta meta = dir().meta(file.store().storePath(file.path()));
        return meta != null && meta.fileId().equals(file.id()) ? meta.content() : null;
    }

    /** A version by its name in the store; PendingUnreachable where nothing here says that. */
    FileVersion inStore(FileVersion file) throws IOException {
        if (!file.born()) {
            return file;
        }
        if (!file.storeVersion().isEmpty()) {
            return file.inStore(file.storeVersion());
        }
        CacheDir open = dirOrNull();
        Meta meta = open == null ? null : open.meta(file.store().storePath(file.path()));
        boolean same = meta != null && file.id() != null && meta.fileId().equals(file.id());
        if (!same || meta.storeVersion().isEmpty()) {
            throw Unreachable.version(file);
        }
        return file.inStore(meta.storeVersion());
    }

    /** Counts a fall back, and logs the first of each reason. */
    void fallback(Fallback reason, String detail) {
        if (counters.count(reason)) {
            String text = "Reading the store directly ({}): {}";
            if (reason.meant()) {
                LOG.info(text, reason.label(), detail);
            } else {
                LOG.warn(text, reason.label(), detail);
            }
        }
    }

    /**
     * What to throw when a direct read failed too: of the type that the sidecar named if it spoke
     * of the store, else of the type that this process met. Without trouble before it, what the
     * connector threw.
     */
    static IOException bothFailed(SidecarTrouble trouble, IOException direct) {
        if (trouble == null || direct instanceof Fault || direct instanceof InterruptedIOException) {
            return direct;
        }
        if (ofStore(trouble.getCause())) {
            IOException typed = (IOException) trouble.getCause();
            typed.addSuppressed(direct);
            return typed;
        }
        String problem = "neither the sidecar nor this process could read the store";
        String cause = "the sidecar: " + trouble.getMessage() + "; this process: " + direct;
        String remedy = "'millpond doctor' looks at both";
        IOException typed =
                direct instanceof AccessDeniedException
                        ? new PermissionDeniedException(problem, cause, remedy)
                        : new StoreUnavailableException(problem, cause, remedy);
        typed.initCause(direct);
        return typed;
    }

    private static boolean ofStore(Throwable told) {
        if (!(told instanceof Fault)) {
            return false;
        }
        switch (((Fault) told).error()) {
            case PERMISSION_DENIED:
            case STORE_ANSWER_INVALID:
            case STORE_UNAVAILABLE:
                return true;
            default:
                return false;
        }
    }

    private Endpoint endpoint() throws IOException {
        CacheDir open = dir();
        NodeProperties node = open.node();
        Path directory = open.path();
        Path secret = secretFile == null ? directory.resolve("writer.secret") : secretFile;
        return new Endpoint(
                node.socket().isEmpty() ? null : directory.resolve(node.socket()),
                node.tcpHost(),
                node.tcpPort(),
                shown(directory.resolve("token")),
                shown(secret));
    }

    /** What a file of a token has; empty where this process may not read it. */
    private static byte[] shown(Path file) throws IOException {
        String text =
                Files.isReadable(file) ? Files.readString(file, StandardCharsets.US_ASCII) : "";
        return text.trim().getBytes(StandardCharsets.US_ASCII);
    }

    /** What Hello says about this process. */
    private final class Self implements Sidecar.Identity {
        @Override
        public String name() {
            return "jvm "
                    + Client.class.getPackage().getImplementationVersion()
                    + " (Java "
                    + System.getProperty("java.version")
                    + ", Hadoop "
                    + VersionInfo.getVersion()
                    + ")";
        }

        @Override
        public byte[] bootId() {
            CacheDir open = dir;
            return open == null ? new byte[0] : open.bootId().bytes();
        }

        @Override
        public long monotonicNs() {
            return System.nanoTime();
        }

        /** Another sidecar has another lease: the last look at it says nothing any more. */
        @Override
        public void greeted() {
            CacheDir open = dir;
            if (open != null) {
                open.expireLease();
            }
        }
    }

    /** Takes what the local reader has to tell. */
    private final class Events implements LocalEvents {
        @Override
        public void badPage(FileId file, int block, int page, long generation) {
            counters.add(Counters.Name.BAD_PAGES, 1);
            reporter.badPage(
                    Wire.BadPage.newBuilder()
                            .setFileId(ByteString.copyFrom(file.bytes()))
                            .setBlock(block)
                            .setPage(page)
                            .setGeneration(generation)
                            .build());
        }

        @Override
        public void trouble(Trouble reason, Throwable error) {
            fallback(Fallback.LOCAL_IO, reason + (error == null ? "" : ": " + error));
        }
    }
}
