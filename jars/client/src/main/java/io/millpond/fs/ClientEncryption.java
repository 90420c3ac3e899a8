package io.millpond.fs;

import java.net.URI;
import java.util.List;
import java.util.Locale;
import org.apache.hadoop.conf.Configuration;

/**
 * Whether an engine's connector decrypts what it reads: the sidecar has not its keys, so that blocks
 * would hold, and readers get, what the store holds. What the store itself encrypts is no matter.
 */
final class ClientEncryption {
    private static final List<String> ALGORITHMS =
            List.of(
                    "fs.s3a.bucket.%s.encryption.algorithm",
                    "fs.s3a.bucket.%s.server-side-encryption-algorithm",
                    "fs.s3a.encryption.algorithm",
                    "fs.s3a.server-side-encryption-algorithm");
    private static final List<String> KEYS =
            List.of("presto.s3.encryption-materials-provider", "presto.s3.kms-key-id");
    private static final String EMRFS = "fs.s3.cse.enabled";

    private ClientEncryption() {}

    /** The setting that switches it on for the bucket of {@code uri}; empty where none does. */
    static String of(URI uri, Configuration conf) {
        if (!Coverage.canonical(uri.getScheme()).equals("s3a")) {
            return "";
        }
        for (String each : ALGORITHMS) {
            String key = String.format(each, uri.getAuthority());
            if (conf.getTrimmed(key, "").toUpperCase(Locale.ROOT).startsWith("CSE")) {
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
