package io.millpond.fs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;

import io.millpond.fs.local.Mount;
import io.millpond.fs.local.Mounts;
import java.io.ByteArrayInputStream;
import java.nio.charset.StandardCharsets;
import java.util.Iterator;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.junit.jupiter.api.Test;

/** The configuration of the connector that a read falls back to. */
class DirectStoreTest {
    private static final String ENDPOINT = "fs.s3a.bucket.b.endpoint";
    private static final Mount MOUNT =
            Mounts.ofS3(Map.of("/m", new String[] {"b", "", "http://mount:1"})).mounts().iterator().next();

    private static Configuration made(Configuration engine) {
        return DirectStore.configuration(MOUNT, engine);
    }

    private static Configuration resource(String name, String key, String value) {
        String xml =
                "<configuration><property><name>" + key + "</name><value>" + value
                        + "</value></property></configuration>";
        Configuration conf = new Configuration(false);
        conf.addResource(new ByteArrayInputStream(xml.getBytes(StandardCharsets.UTF_8)), name);
        return conf;
    }

    @Test
    void whatTheEngineSaysIsCarriedOver() {
        Configuration engine = new Configuration();
        engine.set("fs.s3a.access.key", "the engine's");
        engine.set("fs.s3a.impl", "some.Class");
        engine.set("hadoop.tmp.dir", "/elsewhere"); // a default of Hadoop's, changed
        engine.set("fs.s3a.buffer.dir", "${hadoop.tmp.dir}/s3a");
        Configuration own = made(engine);
        assertEquals("the engine's", own.get("fs.s3a.access.key"));
        assertEquals("some.Class", own.get("fs.s3a.impl"));
        assertEquals("/elsewhere/s3a", own.get("fs.s3a.buffer.dir"));
        assertEquals("${hadoop.tmp.dir}/s3a", own.getRaw("fs.s3a.buffer.dir"));
        assertEquals(engine.get("io.file.buffer.size"), own.get("io.file.buffer.size"));
    }

    @Test
    void jarsOfTheEngineAreFound() {
        Configuration engine = new Configuration(false);
        ClassLoader loader = new ClassLoader(getClass().getClassLoader()) {};
        engine.setClassLoader(loader);
        assertSame(loader, made(engine).getClassLoader());
    }

    @Test
    void theMountCompletesAndNeverOverrules() {
        assertEquals("http://mount:1", made(new Configuration()).get(ENDPOINT));
        Configuration engine = new Configuration();
        engine.set(ENDPOINT, "http://engine:2");
        assertEquals("http://engine:2", made(engine).get(ENDPOINT));
        assertEquals("http://site:3", made(resource("core-site.xml", ENDPOINT, "http://site:3")).get(ENDPOINT));
        // A default of the connector's is nobody's choice.
        assertEquals("http://mount:1", made(resource("s3a-default.xml", ENDPOINT, "http://default:4")).get(ENDPOINT));
    }

    /** Else the connector of a fallback would read through the cache again. */
    @Test
    void itNeverReadsThroughTheCacheAgain() {
        Configuration engine = new Configuration(false);
        assertFalse(made(engine).getBoolean(ClientConf.TRANSPARENT, true));
        engine.setBoolean(ClientConf.TRANSPARENT, true);
        assertFalse(made(engine).getBoolean(ClientConf.TRANSPARENT, true));
    }

    @Test
    void itIsACopy() {
        Configuration engine = new Configuration(false);
        Configuration own = made(engine);
        engine.set("fs.s3a.secret.key", "of another job");
        own.set("fs.s3a.own", "x");
        assertNull(own.get("fs.s3a.secret.key"));
        assertNull(engine.get("fs.s3a.own"));
        assertNull(engine.get(ENDPOINT));
        assertNull(engine.get(ClientConf.TRANSPARENT));
    }

    /** Of Presto's, Hadoop's own copy has nothing but the defaults. */
    @Test
    void aConfigurationThatPassesQuestionsOnIsCopiedByWhatItAnswers() {
        Configuration behind = new Configuration(false);
        behind.set("presto.s3.access-key", "the engine's");
        behind.set("fs.defaultFS", "hdfs://elsewhere");
        behind.set(ENDPOINT, "http://engine:2");
        Configuration own = made(new PassedOn(behind));
        assertEquals("the engine's", own.get("presto.s3.access-key"));
        assertEquals("hdfs://elsewhere", own.get("fs.defaultFS"));
        assertEquals("http://engine:2", own.get(ENDPOINT));
    }

    private static final class PassedOn extends Configuration {
        private final Configuration behind;

        PassedOn(Configuration behind) {
            super(false);
            this.behind = behind;
        }

        @Override
        public String get(String key) {
            return behind.get(key);
        }

        @Override
        public Iterator<Map.Entry<String, String>> iterator() {
            return behind.iterator();
        }

        @Override
        public String[] getPropertySources(String key) {
            return behind.getPropertySources(key);
        }
    }
}
