package io.millpond.fs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.millpond.fs.local.MountTable;
import io.millpond.fs.local.Mounts;
import java.net.URI;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Which mount stands for a store's URI, and which URIs the settings choose. */
class CoverageTest {
    private static final String STORE = "http://store:9000";
    private static final MountTable TABLE =
            Mounts.ofS3(
                    Map.of(
                            "/all", new String[] {"b", "", STORE},
                            "/deep", new String[] {"b", "w/t", STORE},
                            "/over", new String[] {"c", "x", STORE},
                            "/over/y", new String[] {"c", "z", STORE},
                            "/aws", new String[] {"d", "", "https://s3.eu-west-1.amazonaws.com"}));

    private static Coverage coverage(String uri, String... settings) {
        Configuration conf = new Configuration(false);
        for (int i = 0; i < settings.length; i += 2) {
            conf.set(settings[i], settings[i + 1]);
        }
        return new Coverage(URI.create(uri), conf, Map.of());
    }

    private static Coverage at(String uri) {
        return coverage(uri, "fs.s3a.endpoint", "store:9000/");
    }

    private static String path(Coverage coverage, String key) {
        Coverage.Covered found = coverage.find(TABLE, key);
        return found == null ? null : found.path;
    }

    @Test
    void theDeepestMountWinsAndSchemesOfS3AreOne() {
        for (String scheme : List.of("s3", "s3a", "s3n", "S3A")) {
            Coverage coverage = at(scheme + "://b");
            assertEquals("/all/w/f", path(coverage, "w/f"));
            assertEquals("/deep/f g", path(coverage, "w/t/f g"));
            assertEquals("/deep", path(coverage, "w/t"));
            assertEquals("/all/w/tt", path(coverage, "w/tt"));
            assertEquals("s3a://b/w/f", coverage.uri("w/f"));
        }
        assertNull(path(at("s3a://other"), "w/f"));
    }

    @Test
    void whatAnotherMountHidesIsNotReached() {
        Coverage coverage = at("s3a://c");
        assertEquals("/over/f", path(coverage, "x/f"));
        assertNull(path(coverage, "x/y/f"), "/over/y is another place");
        assertEquals("/over/y/f", path(coverage, "z/f"));
        assertNull(path(coverage, "x/../f"), "no path has such a segment");
    }

    /** A bucket of the same name elsewhere is another store: never its bytes. */
    @ParameterizedTest
    @CsvSource({
        "fs.s3a.endpoint, https://STORE:9000, true",
        "fs.s3a.bucket.b.endpoint, http://store:9000/, true",
        "presto.s3.endpoint, store:9000, true",
        "fs.cache.transparent.endpoint, http://store:9000, true",
        "fs.s3a.endpoint, http://store:9001, false",
        "fs.s3a.endpoint, s3.eu-west-1.amazonaws.com, false",
        "fs.s3a.bucket.other.endpoint, http://store:9000, false"
    })
    void theEndpointHasToBeTheMounts(String key, String endpoint, boolean covered) {
        assertEquals(covered, path(coverage("s3a://b", key, endpoint), "f") != null);
    }

    @Test
    void allOfAwsIsOneEndpoint() {
        assertEquals("/aws/f", path(coverage("s3a://d"), "f"));
        assertEquals("/aws/f", path(coverage("s3a://d", "fs.s3a.endpoint", "s3.amazonaws.com"), "f"));
        assertNull(path(at("s3a://d"), "f"));
    }

    @Test
    void aTreeHasTheMountsInIt() {
        Coverage coverage = at("s3a://b");
        assertEquals(List.of("/all/w"), coverage.paths(TABLE, "w", false));
        assertEquals(List.of("/deep", "/all/w"), coverage.paths(TABLE, "w", true));
        assertEquals(List.of("/deep", "/all"), coverage.paths(TABLE, "", true));
        assertEquals(List.of("/deep/x", "/all/w/t/x"), coverage.paths(TABLE, "w/t/x", false));
    }

    private static Prefixes prefixes(String include, String exclude) throws Exception {
        Configuration conf = new Configuration(false);
        conf.set(ClientConf.INCLUDE, include);
        conf.set(ClientConf.EXCLUDE, exclude);
        return Prefixes.of(conf);
    }

    @ParameterizedTest
    @CsvSource({
        "'', '', s3a://b/w/f, true",
        "s3://b/w/**, '', s3a://b/w/d/f, true",
        "s3a://b/w/*, '', s3a://b/w/d/f, false",
        "'s3a://c/**, s3a://b/w/**', '', s3a://b/w/f, true",
        "s3a://b/w/**, '', s3a://b/v/f, false",
        "'', '**/tmp/**', s3a://b/w/tmp/f, false",
        "s3a://b/**, s3a://b/w/**, s3a://b/w/f, false",
        "s3a://b/**, '', s3a://b/t/_temporary/0/f, false",
        "s3a://b/**, '', s3a://b/t/__magic_job-1/f, false",
        "s3a://b/**, '', s3a://b/t/_delta_log/_last_checkpoint, false",
        "s3a://b/**, '', s3a://b/t/_delta_log/00.json, true",
        "s3a://b/**, '', s3a://b/t/metadata/version-hint.text, false"
    })
    void globsChooseUris(String include, String exclude, String uri, boolean chosen)
            throws Exception {
        assertEquals(chosen, prefixes(include, exclude).include(uri));
    }

    @ParameterizedTest
    @ValueSource(strings = {"warehouse/**", "s3a://b/{x/**", "s3a://b/[a-c]*", "://b"})
    void aGlobThatIsNoneIsSaid(String glob) {
        InvalidSettingException said =
                assertThrows(InvalidSettingException.class, () -> prefixes("", glob));
        assertTrue(said.getMessage().contains(ClientConf.EXCLUDE), said.getMessage());
        assertTrue(said.getMessage().contains("s3a://bucket/warehouse/**"), said.getMessage());
    }
}
