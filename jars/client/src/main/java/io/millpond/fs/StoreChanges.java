package io.millpond.fs;

import io.millpond.fs.local.CacheDir;
import io.millpond.fs.rpc.Fallback;
import java.io.IOException;
import java.net.URI;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.function.UnaryOperator;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.Path;

/**
 * What an engine changed in one store by the store's own URIs: told to the cache before the call that
 * changed it returns. Nothing here fails, and paths that no mount covers cost nothing.
 */
public final class StoreChanges {
    private final Client client;
    private final Coverage coverage;
    private final UnaryOperator<Path> qualify;

    /** {@code qualify} makes a path absolute. */
    StoreChanges(Client client, Coverage coverage, UnaryOperator<Path> qualify) {
        this.client = client;
        this.coverage = coverage;
        this.qualify = qualify;
    }

    /** For absolute paths of the store at {@code uri}; null where the cache is switched off. */
    static StoreChanges of(URI uri, Configuration conf) throws InvalidSettingException {
        return conf.getBoolean(ClientConf.TRANSPARENT, true)
                ? new StoreChanges(
                        Client.of(ClientConf.of(conf)),
                        new Coverage(uri, conf, System.getenv()),
                        path -> path)
                : null;
    }

    /** A file or a directory, not what is below it. */
    public void changed(Path path) {
        changed(List.of(path), false);
    }

    /** Several of them, in one call. */
    public void changed(Collection<Path> paths) {
        changed(paths, false);
    }

    /** A path, and anything below it. */
    public void treeChanged(Path path) {
        changed(List.of(path), true);
    }

    /** A stream that calls {@link #changed} when it is closed. */
    public FSDataOutputStream noted(FSDataOutputStream out, Path path) throws IOException {
        return new NotedOutputStream(out, () -> changed(path));
    }

    private void changed(Collection<Path> changed, boolean tree) {
        try {
            CacheDir dir = client.dirOrNull();
            if (dir == null) {
                return;
            }
            List<String> files = new ArrayList<>();
            List<String> trees = new ArrayList<>();
            for (Path each : changed) {
                Path path = qualify.apply(each);
                boolean job = ofJob(path);
                String key = key(job ? path.getParent() : path);
                boolean below = tree || job;
                (below ? trees : files).addAll(coverage.paths(dir.mounts(), key, below));
            }
            tell(files, false);
            tell(trees, true);
        } catch (RuntimeException e) {
            client.fallback(Fallback.LOCAL_IO, changed + ": " + e);
        }
    }

    private void tell(List<String> paths, boolean tree) {
        if (!paths.isEmpty()) {
            client.invalidations().changed(paths, tree);
        }
    }

    /**
     * Whether a change says that a job was committed into the directory: S3A's committers complete
     * its uploads where a file system does not see it.
     */
    private static boolean ofJob(Path path) {
        String name = path.getName();
        boolean job = name.equals("_SUCCESS") || name.startsWith("__magic");
        return job && path.getParent() != null;
    }

    /** The key of an absolute path in its store. */
    static String key(Path path) {
        return path.toUri().getPath().substring(1);
    }
}
