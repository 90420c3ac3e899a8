package io.millpond.fs;

import io.millpond.fs.local.CacheDir;
import io.millpond.fs.local.Mount;
import io.millpond.fs.local.MountTable;
import io.millpond.fs.rpc.Fallback;
import java.io.IOException;

/**
 * The mounts as one look sees them: the cache directory's own, which are fresher, or where this
 * node has none those that the engine's configuration names. These are read from their stores
 * alone, until a cache directory with mounts appears.
 */
final class Namespace {
    private static final int NAMES_CHARS = 200;

    private final Client client;
    private final MountTable given;

    /** {@code given} is null where the configuration names no mounts. */
    Namespace(Client client, MountTable given) {
        this.client = client;
        this.given = given;
    }

    /** The mounts now. CacheDirUnusable where neither a cache directory nor a setting has any. */
    Look look() throws IOException {
        CacheDir dir = given == null ? client.dir() : client.dirOrNull();
        if (dir != null) {
            MountTable own = dir.mounts();
            if (given == null || own.published()) {
                return new Look(dir, own);
            }
        }
        return new Look(null, given);
    }

    /** What holds for one operation. */
    final class Look {
        private final CacheDir dir;
        private final MountTable table;

        private Look(CacheDir dir, MountTable table) {
            this.dir = dir;
            this.table = table;
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
            if (dir == null) {
                client.fallback(Fallback.NO_CACHE_DIR, client.whyStoreOnly());
            }
            return dir == null;
        }

        /** The mount that covers a path; MountNotFound names those there are. */
        Mount mount(String path) throws IOException {
            Mount mount = table.find(path);
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
