package io.millpond.fs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.BlockLocation;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Defaults and every key of the client's settings; policies; locations; local versions. */
final class SettingsTest {
    private static final Path HOME = Paths.get("/home/someone");

    private static ClientConf conf(String... pairs) throws InvalidSettingException {
        Configuration conf = new Configuration(false);
        for (int i = 0; i < pairs.length; i += 2) {
            conf.set(pairs[i], pairs[i + 1]);
        }
        return ClientConf.of(conf, Map.of(), HOME);
    }

    @Test
    void defaults() throws InvalidSettingException {
        ClientConf conf = conf();
        assertEquals(400, conf.silenceMs());
        assertEquals(5000, conf.probeMs());
        assertEquals(32 << 20, conf.windowBytes());
        assertTrue(conf.prepare());
        assertNull(conf.mounts());
        assertEquals(
                java.util.List.of(
                        Paths.get("/var/lib/millpond"), HOME.resolve(".cache/millpond")),
                conf.directories());
    }

    @Test
    void everyKeyIsRead() throws InvalidSettingException {
        ClientConf conf =
                conf(
                        ClientConf.SILENCE_MS, "250",
                        ClientConf.PROBE_MS, "1000",
                        ClientConf.WINDOW_BYTES, "16m",
                        ClientConf.PREPARE, "false",
                        ClientConf.MOUNTS, "/m=file:///data",
                        ClientConf.DIR, "~/cache");
        assertEquals(250, conf.silenceMs());
        assertEquals(1000, conf.probeMs());
        assertEquals(16 << 20, conf.windowBytes());
        assertEquals(false, conf.prepare());
        assertEquals("file:///data", conf.mounts().find("/m/x").storeUri());
        assertEquals(HOME.resolve("cache"), conf.directory());
    }

    @Test
    void theEnvironmentNamesTheDirectoryWhereTheEngineDoesNot() throws InvalidSettingException {
        Map<String, String> env = Map.of("MILLPOND_DIR", "/from/env");
        ClientConf conf = ClientConf.of(new Configuration(false), env, HOME);
        assertEquals(Paths.get("/from/env"), conf.directory());
        Configuration named = new Configuration(false);
        named.set(ClientConf.DIR, "/from/engine");
        assertEquals(
                Paths.get("/from/engine"), ClientConf.of(named, env, HOME).directory());
    }

    @Test
    void badValuesNameTheirKey() {
        for (String bad : new String[] {"soon", "0", "-1", "99999999"}) {
            InvalidSettingException e =
                    assertThrows(
                            InvalidSettingException.class,
                            () -> conf(ClientConf.SILENCE_MS, bad));
            assertTrue(e.getMessage().contains(ClientConf.SILENCE_MS), e.getMessage());
        }
    }

    @Test
    void theFirstKnownPolicyCounts() {
        assertEquals(ReadPolicy.RANDOM, ReadPolicy.parse("parquet, columnar, vector, random"));
        assertEquals(ReadPolicy.SEQUENTIAL, ReadPolicy.parse("from-the-future, sequential"));
        assertEquals(ReadPolicy.WHOLE_FILE, ReadPolicy.parse("whole-file"));
        assertEquals(ReadPolicy.RANDOM, ReadPolicy.parse(" ORC "));
        assertEquals(ReadPolicy.ADAPTIVE, ReadPolicy.parse("adaptive,random"));
        assertEquals(ReadPolicy.ADAPTIVE, ReadPolicy.parse(""));
    }

    @Test
    void locationsAreSectionsOfTheFile() throws IOException {
        String[] hosts = {"node1"};
        long section = Locations.SECTION_BYTES;
        BlockLocation[] all = Locations.of(hosts, 2 * section + 5, 0, Long.MAX_VALUE);
        assertEquals(3, all.length);
        assertEquals(5, all[2].getLength());
        assertEquals(2 * section, all[2].getOffset());
        assertEquals("node1", all[0].getHosts()[0]);
        BlockLocation[] middle = Locations.of(hosts, 2 * section + 5, section, 1);
        assertEquals(1, middle.length);
        assertEquals(section, middle[0].getOffset());
        assertEquals(0, Locations.of(hosts, 0, 0, 10).length);
        assertEquals(0, Locations.of(new String[0], 10, 0, 10)[0].getHosts().length);
    }

    @Test
    void aLocalVersionChangesWithContentAndTimes(@TempDir Path dir) throws IOException {
        Path file = Files.writeString(dir.resolve("f"), "one");
        String first = LocalVersion.of(file);
        assertEquals(5, first.split(":").length);
        assertTrue(LocalVersion.same(first, LocalVersion.of(file)));
        Files.writeString(file, "four");
        assertTrue(!LocalVersion.same(first, LocalVersion.of(file)));
        assertEquals("", LocalVersion.of(dir.resolve("absent")));
    }
}
