package io.millpond.fs;

import io.millpond.fs.rpc.Sidecar;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Tells the sidecar what this process changed in stores, and keeps what it has not heard.
 *
 * <p>A write calls this after the store has it and before it returns. Once the sidecar has answered,
 * no open on this node that begins later finds the old version: meta and answers in memory are gone,
 * and answers on their way are not published. Where the sidecar does not answer, this process asks
 * the store about such a path until the sidecar has heard of it; others on this node, and all other
 * nodes, see the write within the mount's freshness. Thread-safe.
 */
final class Invalidations {
    private static final int MAX_KEPT = 10_000;
    private static final int MAX_SENT = 1_000;

    private final Sidecar sidecar;
    private final Map<String, Object> files = new ConcurrentHashMap<>();
    private final Map<String, Object> trees = new ConcurrentHashMap<>();

    Invalidations(Sidecar sidecar) {
        this.sidecar = sidecar;
    }

    /** The store has changed at these paths; {@code tree}: or anywhere below. Never fails. */
    void changed(List<String> paths, boolean tree) {
        try {
            sidecar.invalidate(paths, tree);
        } catch (IOException e) {
            Map<String, Object> kept = tree ? trees : files;
            for (String each : paths) {
                kept.put(each, new Object());
            }
            if (files.size() + trees.size() > MAX_KEPT) {
                trees.put("/", new Object());
                files.clear();
            }
        }
    }

    /** Whether the sidecar may say of a path what was true before this process changed it. */
    boolean pending(String path) {
        if (files.isEmpty() && trees.isEmpty()) {
            return false;
        }
        if (files.containsKey(path)) {
            return true;
        }
        for (String each : trees.keySet()) {
            if (each.equals("/") || path.equals(each) || path.startsWith(each + '/')) {
                return true;
            }
        }
        return false;
    }

    /** Tells again what was not heard; called about once a second. */
    void retry() throws IOException {
        retry(trees, true);
        retry(files, false);
    }

    private void retry(Map<String, Object> kept, boolean tree) throws IOException {
        List<Map.Entry<String, Object>> some = new ArrayList<>();
        List<String> paths = new ArrayList<>();
        for (Map.Entry<String, Object> each : kept.entrySet()) {
            if (some.size() < MAX_SENT) {
                some.add(Map.entry(each.getKey(), each.getValue()));
                paths.add(each.getKey());
            }
        }
        if (!paths.isEmpty() && sidecar.usable()) {
            sidecar.invalidate(paths, tree);
            some.forEach(each -> kept.remove(each.getKey(), each.getValue()));
        }
    }
}
