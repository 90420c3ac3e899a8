package io.millpond.fs;

import com.google.protobuf.ByteString;
import io.millpond.fs.local.CacheDir;
import io.millpond.fs.local.DirStamp;
import io.millpond.fs.local.FileId;
import io.millpond.fs.local.Meta;
import io.millpond.fs.local.Mount;
import io.millpond.fs.local.Names;
import io.millpond.fs.rpc.Counters;
import io.millpond.fs.rpc.Fallback;
import io.millpond.fs.rpc.SidecarTrouble;
import io.millpond.fs.wire.Wire;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.fs.FileStatus;

/**
 * Finds out what a path names, asking as few as possible: the cache directory while its lease, its
 * stamps and our clock vouch for it, else the sidecar, else the store.
 */
final class Resolver {
    private final Client client;
    private final DirectStores stores;
    private final Namespace namespace;
    private final boolean patient;

    /** {@code patient}: where nothing else can answer, a sidecar that is busy is waited for. */
    Resolver(Client client, DirectStores stores, Namespace namespace, boolean patient) {
        this.patient = patient;
        this.client = client;
        this.stores = stores;
        this.namespace = namespace;
    }

    /** The row of a file or directory. PathNotFound, MountNotFound… */
    StatusRow status(String path) throws IOException {
        return patiently(() -> statusNow(path));
    }

    private <T> T patiently(Batch.Answer<T> ask) throws IOException {
        return patient ? Unreachable.patiently(client, ask) : ask.get();
    }

    private StatusRow statusNow(String path) throws IOException {
        Namespace.Look look = namespace.look();
        Mount mount = look.table().find(path);
        if (mount == null) {
            return synthetic(look, path);
        }
        DirectStore store = stores.of(mount);
        if (look.storeOnly()) {
            Unreachable.checkStaged(path);
            return direct(store, path, look.table().mountPoints(path), null);
        }
        Meta meta = trusted(look.dir(), mount, path, false);
        if (meta != null) {
            return row(path, meta);
        }
        try {
            boolean written = client.invalidations().pending(path);
            return row(path, stat(look, path, written));
        } catch (SidecarTrouble e) {
            return unasked(look, store, path, Plan.NONE, e).row;
        }
    }

    /**
     * Opens a file in the version it has now, or without the sidecar in the one that {@code plan}
     * names. {@code force}: whatever is known, ask the store.
     */
    FileVersion open(String path, boolean force, Plan plan) throws IOException {
        FileVersion file = patiently(() -> find(path, force, plan));
        return file.direct() != null || file.born() || file.store().mayMix(file)
                ? file
                : file.directly(Fallback.NOT_CACHED);
    }

    private FileVersion find(String path, boolean force, Plan plan) throws IOException {
        Namespace.Look look = namespace.look();
        Mount mount = look.mount(path);
        DirectStore store = stores.of(mount);
        client.counters().add(Counters.Name.OPENS, 1);
        if (look.storeOnly()) {
            Unreachable.checkStaged(path);
            StatusRow row = row(store, path, List.of(), force ? Plan.NONE : plan, null);
            checkFile(row);
            return FileVersion.direct(row, store, Fallback.NO_CACHE_DIR);
        }
        Meta meta = force ? null : trusted(look.dir(), mount, path, true);
        if (meta != null) {
            client.counters().add(Counters.Name.OPENS_LOCAL, 1);
            return cached(store, row(path, meta), meta);
        }
        try {
            boolean now = force || client.invalidations().pending(path);
            Wire.FileInfo info = stat(look, path, now);
            return look.remote() == null ? asked(store, path, info) : remote(store, path, info);
        } catch (SidecarTrouble e) {
            Known known = unasked(look, store, path, plan, e);
            checkFile(known.row);
            return known.meta == null
                    ? FileVersion.direct(known.row, store, Fallback.NO_LEASE)
                    : cached(store, known.row, known.meta);
        }
    }

    /** The meta of a path, where it may be believed without asking anyone; else null. */
    private Meta trusted(CacheDir dir, Mount mount, String path, boolean whole)
            throws IOException {
        if (dir == null || !client.trusted() || client.invalidations().pending(path)) {
            return null;
        }
        String storePath = mount.storePath(mount.key(path));
        Meta meta = whole ? dir.meta(storePath) : dir.metaForStatus(storePath);
        if (meta == null || meta.weak() || !meta.bootId().equals(dir.bootId())) {
            return null;
        }
        long now = dir.nowNs();
        long bound = TimeUnit.MILLISECONDS.toNanos(mount.freshnessMs());
        if (within(meta.validatedNs(), now, bound) || mount.isImmutable(path)) {
            return meta;
        }
        String directory = Names.directory(storePath);
        DirStamp stamp = directory == null ? null : dir.dirStamp(directory);
        boolean covered =
                stamp != null
                        && stamp.bootId().equals(dir.bootId())
                        && meta.validatedNs() >= stamp.coversFromNs()
                        && within(stamp.validatedNs(), now, bound);
        return covered ? standing(dir, meta) : null;
    }

    /**
     * The meta if it still stands, looked at after the directory's stamp was: a LIST voids what it
     * found changed before it writes its stamp, so a meta read earlier proves nothing.
     */
    private static Meta standing(CacheDir dir, Meta meta) {
        Meta now = dir.metaForStatus(meta.storePath());
        return now != null && now.fileId().equals(meta.fileId()) ? meta : null;
    }

    private static boolean within(long validatedNs, long now, long bound) {
        long age = now - validatedNs;
        return age >= 0 && age <= bound;
    }

    private FileVersion cached(DirectStore store, StatusRow row, Meta meta) {
        if (meta.content() != null) {
            client.touches().meta(meta.storePath());
        }
        return FileVersion.of(meta, row, store);
    }

    private Wire.FileInfo stat(Namespace.Look look, String path, boolean force)
            throws IOException {
        return look.remote() != null
                ? look.remote().stat(path, force)
                : client.sidecar().stat(path, force);
    }

    private FileVersion remote(DirectStore store, String path, Wire.FileInfo info)
            throws IOException {
        StatusRow row = row(path, info);
        checkFile(row);
        return FileVersion.remote(row, store, FileId.of(info.getFileId().toByteArray()));
    }

    private FileVersion asked(DirectStore store, String path, Wire.FileInfo info)
            throws IOException {
        StatusRow row = row(path, info);
        checkFile(row);
        ByteString id = info.getFileId();
        if (id.size() != FileId.BYTES) {
            return FileVersion.direct(row, store, Fallback.NOT_CACHED);
        }
        FileId fileId = FileId.of(id.toByteArray());
        boolean small = info.getLength() <= Client.INLINE_FILE_BYTES;
        if (info.getMetaOnDisk() && (small || Meta.isBorn(info.getVersion()))) {
            Meta meta = client.dir().meta(store.storePath(path));
            if (meta != null && meta.fileId().equals(fileId)) {
                return cached(store, row(path, meta), meta);
            }
        }
        return FileVersion.cached(row, store, fileId, null);
    }

    /**
     * Without the sidecar the store itself says which version there is now, unless the engine says
     * which one it wants; local blocks of that version are as good as ever. What is pending the store
     * does not know: its meta, which goes before anything newer is acknowledged, speaks for itself,
     * and where a mount holds such data nothing is said of a path without meta.
     */
    private Known unasked(
            Namespace.Look look, DirectStore store, String path, Plan plan, SidecarTrouble trouble)
            throws IOException {
        client.fallback(trouble.reason(), trouble.getMessage());
        Unreachable.checkStaged(path);
        Meta meta = look.dir() == null ? null : look.dir().meta(store.storePath(path));
        if (meta != null && meta.pending()) {
            return new Known(row(path, meta), meta);
        }
        boolean pending = look.pending(path);
        if (pending && (meta == null || meta.weak())) {
            throw Unreachable.mount(look, path, trouble);
        }
        StatusRow row;
        try {
            row = row(store, path, look.table().mountPoints(path), plan, trouble);
        } catch (PathNotFoundException e) {
            throw pending ? Unreachable.mount(look, path, e) : e;
        }
        if (meta != null && !meta.weak() && store.holds(meta, row)) {
            boolean ours = store.isLocal() || Meta.isBorn(meta.version());
            return new Known(ours ? row(path, meta) : row, meta);
        }
        if (pending || Meta.isBorn(row.version())) {
            throw Unreachable.mount(look, path, trouble);
        }
        return new Known(row, null);
    }

    /** The file that the plan names, else the one that the store has now. */
    private static StatusRow row(
            DirectStore store,
            String path,
            List<String> points,
            Plan plan,
            SidecarTrouble trouble)
            throws IOException {
        StatusRow planned = store.isLocal() ? null : plan.row(path);
        return planned != null ? planned : direct(store, path, points, trouble);
    }

    /** What the store says; where it has nothing, a path to mounts is a directory all the same. */
    private static StatusRow direct(
            DirectStore store, String path, List<String> points, SidecarTrouble trouble)
            throws IOException {
        try {
            FileStatus status = store.status(path);
            return store.row(path, status);
        } catch (FileNotFoundException e) {
            if (!points.isEmpty()) {
                return StatusRow.directory(path, 0);
            }
            PathNotFoundException typed =
                    new PathNotFoundException(path + " does not exist", e.getMessage(), "");
            typed.initCause(e);
            throw typed;
        } catch (IOException e) {
            throw Client.bothFailed(trouble, e);
        }
    }

    /** The mount that covers a path; MountNotFound names those there are. */
    Mount mount(String path) throws IOException {
        return namespace.look().mount(path);
    }

    /** A directory that exists because mounts lie below it. */
    private static StatusRow synthetic(Namespace.Look look, String path) throws IOException {
        if (!path.equals("/") && look.table().mountPoints(path).isEmpty()) {
            look.mount(path);
        }
        return StatusRow.directory(path, 0);
    }

    private static StatusRow row(String path, Meta meta) {
        return new StatusRow(path, false, meta.length(), meta.mtimeMs(), meta.version());
    }

    static StatusRow row(String path, Wire.FileInfo info) {
        return new StatusRow(
                path,
                info.getDirectory(),
                info.getLength(),
                info.getMtimeMs(),
                info.getVersion());
    }

    private static void checkFile(StatusRow row) throws IsADirectoryException {
        if (row.directory()) {
            throw new IsADirectoryException(
                    row.path() + " is a directory", "only files can be opened", "");
        }
    }

    /** What is known without the sidecar; {@code meta}: of the same version, or null. */
    private static final class Known {
        final StatusRow row;
        final Meta meta;

        Known(StatusRow row, Meta meta) {
            this.row = row;
            this.meta = meta;
        }
    }
}
