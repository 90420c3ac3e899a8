package io.millpond.fs;

import io.millpond.fs.local.CacheDir;
import io.millpond.fs.local.Mount;
import io.millpond.fs.local.MountTable;
import io.millpond.fs.rpc.Fallback;
import io.millpond.fs.rpc.RemoteSidecar;
import io.millpond.fs.rpc.SidecarTrouble;
import java.io.IOException;

/**
 * The mounts as one look sees them: the cache directory's own, which are fresher, or where this
 * node has none those that the engine's configuration names. These are read from their stores
 * alone, until a cache directory with mounts appears.
 */
final class Namespace {
    private static final int NAMES_CHARS = 200;
    private static final long REMOTE_NS = 1_000_000_000;

    private final Client client;
    private final MountTable given;
    private MountTable remote;
    private long remoteAtNs;

    /** {@code given} is null where the configuration names no mounts. */
    Namespace(Client client, MountTable given) {
        this.client = client;
        this.given = given;
    }

    /** The mounts now. CacheDirUnusable where neither a cache directory nor a setting has any. */
    Look look() throws IOException {
        boolean must = given == null && client.remote() == null;
        CacheDir dir = must ? client.dir() : client.dirOrNull();
        if (dir != null) {
            MountTable own = dir.mounts();
            if (must || own.published()) {
                return new Look(dir, own, null);
            }
        }
        return client.remote() == null
                ? new Look(null, given, null)
                : new Look(null, remoteMounts(), client.remote());
    }

    /** The other node's, asked once a second; the last known or given ones where it is silent. */
    private synchronized MountTable remoteMounts() throws IOException {
        if (remote != null && System.nanoTime() - remoteAtNs < REMOTE_NS) {
            return remote;
        }
        try {
            remote = new MountTable(client.remote().mounts());
        } catch (SidecarTrouble e) {
            client.fallback(e.reason(), e.getMessage());
            remote = remote == null ? given : remote;
            if (remote == null || e.reason() == Fallback.UNAUTHENTICATED) {
                throw unknown(e);
            }
        }
        remoteAtNs = System.nanoTime();
        return remote;
    }

    private IOException unknown(SidecarTrouble trouble) {
        if (trouble.getCause() instanceof IOException) {
            return (IOException) trouble.getCause();
        }
        SidecarUnavailableException typed =
                new SidecarUnavailableException(
                        "the sidecar of another node can't be asked what is mounted",
                        trouble.getMessage(),
                        "See that it runs, and that "
                                + ClientConf.SIDECAR
                                + " is the address that its remote_host and remote_port say");
        typed.initCause(trouble);
        return typed;
    }

    /** What holds for one operation. */
    final class Look {
        private final CacheDir dir;
        private final MountTable table;
        private final RemoteSidecar remote;

        private Look(CacheDir dir, MountTable table, RemoteSidecar remote) {
            this.dir = dir;
            this.table = table;
            this.remote = remote;
        }

        /** The other node's sidecar, where it is the one to ask; else null. */
        RemoteSidecar remote() {
            return remote;
        }

        /** Null where there is none, so that nothing but the store can be asked. */
        CacheDir dir() {
            return dir;
        }

        MountTable table() {
            return table;
        }

        /** Whether the store is all there is; counts that it is read for this reason. */
        boolean storeOnly() {
            boolean only = dir == null && remote == null;
            if (only) {
                client.fallback(Fallback.NO_CACHE_DIR, client.whyStoreOnly());
            }
            return only;
        }

        /**
         * Whether the mount of a path, or a staging area, holds at this moment what its store does
         * not have.
         */
        boolean pending(String path) {
            Mount mount = (dir == null ? table : dir.mountsNow()).find(path);
            return mount != null && (mount.pending() || mount.holds(path));
        }

        /** Whether a path lies in a staging area that the sidecar holds. */
        boolean held(String path) {
            Mount mount = (dir == null ? table : dir.mountsNow()).find(path);
            return mount != null && mount.holds(path);
        }

        /** The mount that covers a path; MountNotFound names those there are. */
        Mount mount(String path) throws IOException {
            Mount mount = table.find(path);
            if (mount == null && dir != null) {
                mount = dir.mountsNow().find(path); // it may have been added a moment ago
            }
            if (mount != null) {
                return mount;
            }
            StringBuilder known = new StringBuilder();
            for (Mount each : table.mounts()) {
                if (known.length() < NAMES_CHARS) {
                    known.append(known.length() == 0 ? "Mounted: " : ", ").append(each.path());
                }
            }
            String add =
                    dir == null
                            ? "setting " + ClientConf.MOUNTS + " names the mounts of this session"
                            : "'millpond mount add " + path + " <store URI>' adds one";
            throw new MountNotFoundException(
                    "no mount covers " + path,
                    known.length() == 0 ? "nothing is mounted" : "nothing is mounted there",
                    known.length() == 0 ? add : known + "; " + add);
        }
    }
}
