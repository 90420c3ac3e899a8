package io.millpond.fs;

import io.millpond.fs.local.Mount;
import java.io.Closeable;
import java.io.IOException;
import java.util.Map;
import java.util.Queue;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.function.Function;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.security.UserGroupInformation;

/** The direct connectors of one file system instance: one per mount, made when first used. */
final class DirectStores implements Closeable {
    private final Function<Mount, DirectStore> maker;
    private final Map<String, DirectStore> byPath = new ConcurrentHashMap<>();
    private final Queue<DirectStore> replaced = new ConcurrentLinkedQueue<>();

    DirectStores(Configuration engine, UserGroupInformation user, boolean prepare) {
        this(
                mount -> {
                    DirectStore made = new DirectStore(mount, engine, user);
                    if (prepare) {
                        made.prepare();
                    }
                    return made;
                });
    }

    DirectStores(Function<Mount, DirectStore> maker) {
        this.maker = maker;
    }

    /** The store behind a mount; its connector starts to be made at the first call. */
    DirectStore of(Mount mount) {
        DirectStore known = byPath.get(mount.path());
        if (known != null && known.mount().sameStore(mount)) {
            return known;
        }
        return byPath.compute(
                mount.path(),
                (path, old) -> {
                    if (old != null && old.mount().sameStore(mount)) {
                        return old;
                    }
                    if (old != null) {
                        replaced.add(old); // streams may still read through it
                    }
                    return maker.apply(mount);
                });
    }

    /** By mount path: ready, preparing, or impossible and why. */
    Map<String, String> states() {
        Map<String, String> states = new TreeMap<>();
        byPath.forEach((path, store) -> states.put(path, store.state()));
        return states;
    }

    @Override
    public void close() throws IOException {
        for (DirectStore each : byPath.values()) {
            each.close();
        }
        byPath.clear();
        for (DirectStore old = replaced.poll(); old != null; old = replaced.poll()) {
            old.close();
        }
    }
}
