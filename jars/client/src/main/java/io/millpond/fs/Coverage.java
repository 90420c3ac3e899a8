package io.millpond.fs;

import io.millpond.fs.local.Mount;
import io.millpond.fs.local.MountTable;
import io.millpond.fs.local.Names;
import java.net.URI;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;

/**
 * Which paths of the namespace name the keys of one store, as an engine's file system reaches it. A
 * bucket's name says nothing without its endpoint, so that mounts of another endpoint don't count.
 */
final class Coverage {
    private static final String[] ENDPOINTS = {
        ClientConf.ENDPOINT, "presto.s3.endpoint", "fs.s3a.bucket.%s.endpoint", "fs.s3a.endpoint"
    };
    private static final String[] VARIABLES = {"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"};

    private final String scheme;
    private final String root;
    private final String endpoint;
    private volatile Known known = new Known(null, List.of());

    /** {@code uri} is the file system's own: its scheme and its bucket or name service. */
    Coverage(URI uri, Configuration conf, Map<String, String> environment) {
        scheme = canonical(uri.getScheme());
        root = uri.getAuthority() == null ? "" : uri.getAuthority();
        endpoint = scheme.equals("s3a") ? host(endpoint(conf, environment)) : "";
    }

    /** The mount and the path that name {@code key}; null where none does. */
    Covered find(MountTable table, String key) {
        for (Mount each : mounts(table)) {
            String path = each.pathOf(key);
            if (path != null && reaches(table, each, path)) {
                return new Covered(each, path);
            }
        }
        return null;
    }

    /** All paths that name {@code key}; {@code tree}: and mounts of what lies below it. */
    List<String> paths(MountTable table, String key, boolean tree) {
        List<String> paths = new ArrayList<>();
        for (Mount each : mounts(table)) {
            String path = each.pathOf(key);
            boolean below = tree && (key.isEmpty() || each.prefix().startsWith(key + '/'));
            if (path == null && below) {
                path = each.path();
            }
            if (path != null && reaches(table, each, path)) {
                paths.add(path);
            }
        }
        return paths;
    }

    /** A key's URI, spelled as mounts and globs spell it. */
    String uri(String key) {
        return scheme + "://" + root + '/' + key;
    }

    /** s3, s3a and s3n are one. */
    static String canonical(String scheme) {
        String lower = scheme.toLowerCase(Locale.ROOT);
        return lower.equals("s3") || lower.equals("s3n") ? "s3a" : lower;
    }

    /** Whether a path leads through this mount, and not through one that lies over it. */
    private static boolean reaches(MountTable table, Mount mount, String path) {
        try {
            return table.find(Names.checkPath(path)) == mount;
        } catch (InvalidPathException e) {
            return false;
        }
    }

    /** The mounts of this store, the deepest first. */
    private List<Mount> mounts(MountTable table) {
        Known last = known;
        if (last.table == table) {
            return last.mounts;
        }
        List<Mount> mounts = new ArrayList<>();
        for (Mount each : table.mounts()) {
            if (each.scheme().equals(scheme) && each.root().equals(root) && sameEndpoint(each)) {
                mounts.add(each);
            }
        }
        mounts.sort(Comparator.comparingInt(mount -> -mount.prefix().length()));
        known = new Known(table, mounts);
        return mounts;
    }

    private boolean sameEndpoint(Mount mount) {
        String key = "fs.s3a.bucket." + root + ".endpoint";
        return !scheme.equals("s3a")
                || endpoint.equals(host(mount.directConf().getOrDefault(key, "")));
    }

    private String endpoint(Configuration conf, Map<String, String> environment) {
        for (String key : ENDPOINTS) {
            String value = conf.getTrimmed(String.format(key, root), "");
            if (!value.isEmpty()) {
                return value;
            }
        }
        for (String variable : VARIABLES) {
            String value = environment.getOrDefault(variable, "");
            if (!value.isEmpty()) {
                return value;
            }
        }
        return "";
    }

    /** Host and port of an endpoint; empty for AWS itself, whatever the region. */
    private static String host(String endpoint) {
        String host = endpoint.toLowerCase(Locale.ROOT);
        boolean plain = host.startsWith("http://");
        host = host.replaceFirst("^[a-z]+://", "").replaceFirst("/.*$", "");
        host = host.replaceFirst(plain ? ":80$" : ":443$", "");
        return host.endsWith(".amazonaws.com") || host.endsWith(".amazonaws.com.cn") ? "" : host;
    }

    /** A mount and the path through it. */
    static final class Covered {
        final Mount mount;
        final String path;

        private Covered(Mount mount, String path) {
            this.mount = mount;
            this.path = path;
        }
    }

    private static final class Known {
        final MountTable table;
        final List<Mount> mounts;

        Known(MountTable table, List<Mount> mounts) {
            this.table = table;
            this.mounts = mounts;
        }
    }
}
