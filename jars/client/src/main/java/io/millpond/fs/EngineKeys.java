package io.millpond.fs;

import java.net.URI;
import java.util.List;
import java.util.Locale;
import org.apache.hadoop.conf.Configuration;

/**
 * Whether reading a bucket needs keys that the engine alone has: its connector decrypts what it
 * reads, or tells the store how to. The sidecar would cache what is encrypted, or be refused. What
 * the store encrypts and decrypts by itself is no matter.
 */
final class EngineKeys {
    private static final List<String> ALGORITHMS =
            List.of(
                    "fs.s3a.bucket.%s.encryption.algorithm",
                    "fs.s3a.bucket.%s.server-side-encryption-algorithm",
                    "fs.s3a.encryption.algorithm",
                    "fs.s3a.server-side-encryption-algorithm");
    private static final List<String> KEYS =
            List.of("presto.s3.encryption-materials-provider", "presto.s3.kms-key-id");
    private static final String EMRFS = "fs.s3.cse.enabled";

    private EngineKeys() {}

    /** The setting that says so of the bucket of {@code uri}; empty where none does. */
    static String of(URI uri, Configuration conf) {
        if (!Coverage.canonical(uri.getScheme()).equals("s3a")) {
            return "";
        }
        for (String each : ALGORITHMS) {
            String key = String.format(each, uri.getAuthority());
            String algorithm = conf.getTrimmed(key, "").toUpperCase(Locale.ROOT);
            if (algorithm.startsWith("CSE") || algorithm.equals("SSE-C")) {
                return key;
            }
        }
        for (String each : KEYS) {
            if (!conf.getTrimmed(each, "").isEmpty()) {
                return each;
            }
        }
        return conf.getBoolean(EMRFS, false) ? EMRFS : "";
    }
}
