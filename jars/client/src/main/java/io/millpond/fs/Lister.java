package io.millpond.fs;

import io.millpond.fs.local.Mount;
import io.millpond.fs.rpc.SidecarTrouble;
import io.millpond.fs.wire.Wire;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.hadoop.fs.FileStatus;

/** Lists directories: by the sidecar, else by the engine's own connector. */
final class Lister {
    private final Client client;
    private final DirectStores stores;
    private final Namespace namespace;
    private final Resolver resolver;

    Lister(Client client, DirectStores stores, Namespace namespace, Resolver resolver) {
        this.client = client;
        this.stores = stores;
        this.namespace = namespace;
        this.resolver = resolver;
    }

    /** What lies directly below {@code path}, or the file itself where it is one. */
    List<StatusRow> list(String path) throws IOException {
        return Unreachable.patiently(client, () -> listNow(path));
    }

    private List<StatusRow> listNow(String path) throws IOException {
        Namespace.Look look = namespace.look();
        if (look.storeOnly()) {
            return direct(look, path, null);
        }
        try {
            return rows(path, frames(look, path, false));
        } catch (NotADirectoryException e) {
            return List.of(resolver.status(path));
        } catch (SidecarTrouble e) {
            client.fallback(e.reason(), e.getMessage());
            return direct(look, path, e);
        }
    }

    /** Every file at any depth below {@code path}; null where only level by level is possible. */
    List<StatusRow> listFiles(String path) throws IOException {
        Namespace.Look look = namespace.look();
        if (look.dir() == null && look.remote() == null) {
            return null;
        }
        try {
            return rows(path, frames(look, path, true));
        } catch (NotADirectoryException e) {
            return List.of(resolver.status(path));
        } catch (SidecarTrouble e) {
            client.fallback(e.reason(), e.getMessage());
            return null;
        }
    }

    private List<Wire.ListReply> frames(Namespace.Look look, String path, boolean recursive)
            throws IOException {
        return look.remote() != null
                ? look.remote().list(path, recursive)
                : client.sidecar().list(path, recursive);
    }

    private static List<StatusRow> rows(String path, List<Wire.ListReply> frames) {
        String inside = path.equals("/") ? path : path + '/';
        List<StatusRow> rows = new ArrayList<>();
        for (Wire.ListReply frame : frames) {
            for (Wire.FileInfo info : frame.getEntriesList()) {
                rows.add(Resolver.row(inside + info.getPath(), info));
            }
        }
        return rows;
    }

    /** The store's listing, with the mounts that lie in this directory. */
    private List<StatusRow> direct(Namespace.Look look, String path, SidecarTrouble trouble)
            throws IOException {
        String inside = path.equals("/") ? path : path + '/';
        Map<String, StatusRow> rows = new TreeMap<>();
        Mount mount = look.table().find(path);
        List<String> points = look.table().mountPoints(path);
        if (mount == null && points.isEmpty() && !path.equals("/")) {
            look.mount(path);
        }
        Unreachable.checkStaged(path);
        if (look.pending(path)) {
            throw Unreachable.mount(look, path, trouble);
        }
        if (mount != null) {
            DirectStore store = stores.of(mount);
            try {
                for (FileStatus each : store.list(path)) {
                    String name = each.getPath().getName();
                    boolean itself = each.isFile() && isItself(store, path, each);
                    String at = itself ? path : inside + name;
                    rows.put(at, store.row(at, each));
                }
            } catch (FileNotFoundException e) {
                if (points.isEmpty()) {
                    throw notFound(path, e);
                }
            } catch (IOException e) {
                throw Client.bothFailed(trouble, e);
            }
        }
        for (String point : points) {
            rows.put(inside + point, StatusRow.directory(inside + point, 0));
        }
        return new ArrayList<>(rows.values());
    }

    private static boolean isItself(DirectStore store, String path, FileStatus listed) {
        String own = store.uri(path).toUri().getPath();
        return listed.getPath().toUri().getPath().equals(own);
    }

    private static PathNotFoundException notFound(String path, IOException cause) {
        PathNotFoundException typed =
                new PathNotFoundException(path + " does not exist", cause.getMessage(), "");
        typed.initCause(cause);
        return typed;
    }
}
