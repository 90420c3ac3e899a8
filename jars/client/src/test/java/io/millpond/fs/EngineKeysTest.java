package io.millpond.fs;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.net.URI;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** What takes keys of the engine's is not read from blocks, which hold what the store holds. */
class EngineKeysTest {
    @ParameterizedTest
    @CsvSource({
        "s3a://b, fs.s3a.encryption.algorithm, CSE-KMS, yes",
        "s3a://b, fs.s3a.encryption.algorithm, cse-custom, yes",
        "s3a://b, fs.s3a.bucket.b.encryption.algorithm, CSE-KMS, yes",
        "s3a://b, fs.s3a.bucket.other.encryption.algorithm, CSE-KMS, no",
        "s3a://b, fs.s3a.server-side-encryption-algorithm, CSE-KMS, yes",
        "s3a://b, fs.s3a.encryption.algorithm, SSE-KMS, no",
        "s3a://b, fs.s3a.encryption.algorithm, SSE-C, yes",
        "s3://b, presto.s3.kms-key-id, a-key, yes",
        "s3n://b, presto.s3.encryption-materials-provider, some.Class, yes",
        "s3://b, presto.s3.sse.kms-key-id, a-key, no",
        "s3://b, fs.s3.cse.enabled, true, yes",
        "s3://b, fs.s3.cse.enabled, false, no",
        "hdfs://b, fs.s3a.encryption.algorithm, CSE-KMS, no",
    })
    void theyAreFoundInTheSettings(String uri, String key, String value, String found) {
        Configuration conf = new Configuration(false);
        conf.set(key, value);
        assertEquals(
                found.equals("yes") ? key : "", EngineKeys.of(URI.create(uri), conf));
    }
}
