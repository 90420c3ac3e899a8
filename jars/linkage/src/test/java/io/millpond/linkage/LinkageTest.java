package io.millpond.linkage;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.jar.JarFile;
import java.util.jar.Manifest;
import java.util.stream.Collectors;
import java.util.zip.ZipEntry;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The built jar on the Hadoop of Spark 3.5, of Spark 4, and of Presto. */
@Timeout(180)
class LinkageTest {
    private static final String PRESTO = "hadoop-apache2-2.7.4-12";

    /**
     * What only Hadoop 3 can load: reached through {@code Hadoop3Maker} alone, which one probe names
     * by a string. The file system itself loads and works on 2.7; of its signatures, {@code
     * openFileWithOptions} and {@code createFile} can't be resolved there, and nobody there calls
     * them.
     */
    private static final Set<String> NOT_ON_PRESTO =
            Set.of(
                    "signature io.millpond.fs.CacheFileSystem",
                    "signature io.millpond.fs.TransparentFileSystem",
                    "signature io.millpond.fs.TransparentFs",
                    "signature io.millpond.fs.Hadoop3Uploads",
                    "load io.millpond.fs.CacheStatistics",
                    "load io.millpond.fs.EtagLocatedStatus",
                    "load io.millpond.fs.EtagStatus",
                    "load io.millpond.fs.Hadoop3Create",
                    "load io.millpond.fs.Hadoop3InputStream",
                    "load io.millpond.fs.Hadoop3Maker",
                    "load io.millpond.fs.Hadoop3Open",
                    "load io.millpond.fs.Hadoop3OutputStream",
                    "load io.millpond.fs.Hadoop3OutputStream$1",
                    "load io.millpond.fs.Hadoop3Transparent",
                    "load io.millpond.fs.Hadoop3Transparent$Create",
                    "load io.millpond.fs.Hadoop3Transparent$Open",
                    "load io.millpond.fs.StreamStatistics",
                    "signature io.millpond.fs.VectoredRead$Pending");

    private static final Path LIB = Paths.get(System.getProperty("millpond.lib"));
    private static final Path JAR = jar();

    @ParameterizedTest
    @ValueSource(strings = {"hadoop-3.4.1", "hadoop-3.5.0", PRESTO})
    void everyClassLoads(String hadoop) throws IOException, InterruptedException {
        List<String> said = java(hadoop, "io.millpond.linkage.LoadAll", JAR.toString());
        Set<String> failed =
                said.stream()
                        .filter(line -> line.startsWith("load ") || line.startsWith("signature "))
                        .map(line -> line.substring(0, line.indexOf(' ', 10)))
                        .collect(Collectors.toCollection(TreeSet::new));
        Set<String> allowed = hadoop.equals(PRESTO) ? NOT_ON_PRESTO : Set.of();
        assertEquals(new TreeSet<>(allowed), failed, () -> String.join("\n", said));
        long classes = entries().stream().filter(name -> name.endsWith(".class")).count();
        assertEquals("classes " + classes, said.get(said.size() - 1));
    }

    /** The blocks hold other bytes than the store: what comes back tells where it came from. */
    @ParameterizedTest
    @ValueSource(strings = {"hadoop-3.4.1", "hadoop-3.5.0", PRESTO})
    void aFileIsRead(String hadoop, @TempDir Path temp) throws Exception {
        CachedFile file = new CachedFile(temp, 3_000_000);
        List<String> said =
                java(
                        hadoop,
                        "io.millpond.linkage.ReadFile",
                        file.cacheDir().toString(),
                        "cache:///m/file");
        String all = String.join("\n", said);
        assertTrue(said.contains("fs io.millpond.fs.CacheFileSystem"), all);
        assertTrue(said.contains("length 3000000"), all);
        assertTrue(said.contains("sequential " + file.cachedSha256()), all);
        assertTrue(said.contains("positioned " + file.cachedSha256()), all);
        String stream = hadoop.equals(PRESTO) ? "CacheInputStream" : "Hadoop3InputStream";
        assertTrue(said.contains("stream io.millpond.fs." + stream), all);
    }

    /** The same blocks by the store's own URI, through the cache in front of another class. */
    @ParameterizedTest
    @ValueSource(strings = {"hadoop-3.4.1", "hadoop-3.5.0", PRESTO})
    void aFileIsReadInFrontOfADelegate(String hadoop, @TempDir Path temp) throws Exception {
        CachedFile file = new CachedFile(temp, 3_000_000);
        List<String> said =
                java(
                        hadoop,
                        "io.millpond.linkage.ReadFile",
                        file.cacheDir().toString(),
                        "file://" + temp.resolve("store/file"),
                        "org.apache.hadoop.fs.RawLocalFileSystem");
        String all = String.join("\n", said);
        assertTrue(said.contains("fs io.millpond.fs.TransparentFileSystem"), all);
        assertTrue(said.contains("sequential " + file.cachedSha256()), all);
        assertTrue(said.contains("positioned " + file.cachedSha256()), all);
    }

    @Test
    void noClassOfOthersIsVisible() throws IOException {
        List<String> strange =
                entries().stream()
                        .filter(name -> !name.startsWith("io/millpond/"))
                        .filter(name -> !name.startsWith("META-INF/") || name.contains("versions"))
                        .filter(name -> !name.equals("io/"))
                        .collect(Collectors.toList());
        assertEquals(List.of(), strange);
        assertTrue(entries().contains("META-INF/services/org.apache.hadoop.fs.FileSystem"));
        assertTrue(entries().contains("META-INF/licenses/protobuf.txt"));
    }

    @Test
    void theManifestNamesTheVersion() throws IOException {
        try (JarFile jar = new JarFile(JAR.toFile())) {
            Manifest manifest = jar.getManifest();
            String version = manifest.getMainAttributes().getValue("Implementation-Version");
            assertNotNull(version);
            assertEquals("millpond-client-" + version + ".jar", JAR.getFileName().toString());
        }
    }

    private static List<String> entries() throws IOException {
        try (JarFile jar = new JarFile(JAR.toFile())) {
            return jar.stream().map(ZipEntry::getName).collect(Collectors.toList());
        }
    }

    private static Path jar() {
        Path jars = Paths.get(System.getProperty("millpond.root"), "jars", "millpond_jars");
        return jars.resolve("millpond-client-" + System.getProperty("millpond.version") + ".jar");
    }

    /** The lines that a main class prints in a JVM with one Hadoop, our jar, and nothing else. */
    private static List<String> java(String hadoop, String... command)
            throws IOException, InterruptedException {
        List<String> path = new ArrayList<>();
        path.add(JAR.toString());
        path.add(System.getProperty("millpond.classes"));
        path.add(LIB.resolve(hadoop) + "/*");
        path.add(LIB.resolve("logging") + "/*");
        List<String> line = new ArrayList<>();
        line.add(Paths.get(System.getProperty("java.home"), "bin", "java").toString());
        line.add("-Xmx256m");
        line.add("-cp");
        line.add(String.join(File.pathSeparator, path));
        line.addAll(List.of(command));
        Path out = Files.createTempFile("millpond-linkage", ".out");
        try {
            Process process =
                    new ProcessBuilder(line)
                            .redirectErrorStream(true)
                            .redirectOutput(out.toFile())
                            .start();
            if (!process.waitFor(120, TimeUnit.SECONDS)) {
                process.destroyForcibly().waitFor();
            }
            List<String> said = Files.readAllLines(out);
            assertEquals(0, process.exitValue(), () -> String.join("\n", said));
            return said;
        } finally {
            Files.delete(out);
        }
    }
}
