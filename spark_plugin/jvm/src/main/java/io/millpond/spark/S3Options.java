package io.millpond.spark;

import io.millpond.fs.local.Mount;
import java.net.URI;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.conf.Configuration;

/**
 * Where an S3 store is, as the engine's own connector is told, in the words of {@code millpond
 * mount add}. Keys are not taken over: the sidecar finds its own by the usual chain.
 */
final class S3Options {
    private static final String PREFIX = "fs.s3a.";

    private S3Options() {}

    static List<String> of(Mount mount, Configuration hadoop) {
        List<String> options = new ArrayList<>();
        URI store = URI.create(mount.storeUri().replace(" ", "%20"));
        if ("s3a".equals(store.getScheme()) && store.getAuthority() != null) {
            String bucket = PREFIX + "bucket." + store.getAuthority() + '.';
            String endpoint = get(hadoop, bucket, "endpoint");
            if (!endpoint.isEmpty()) {
                String scheme = endpoint.contains("://") ? "" : "https://";
                add(options, "endpoint", scheme + endpoint);
                add(options, "path_style", get(hadoop, bucket, "path.style.access"));
            }
            add(options, "region", get(hadoop, bucket, "endpoint.region"));
        }
        return options;
    }

    private static String get(Configuration hadoop, String bucket, String key) {
        return hadoop.getTrimmed(bucket + key, hadoop.getTrimmed(PREFIX + key, ""));
    }

    private static void add(List<String> options, String name, String value) {
        if (!value.isEmpty()) {
            options.add("--option");
            options.add(name + '=' + value);
        }
    }
}
