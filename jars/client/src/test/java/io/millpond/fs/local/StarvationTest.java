package io.millpond.fs.local;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Out of descriptors (EMFILE): idle ones give way, then blocks are absent, and nothing fails. */
@Timeout(90)
class StarvationTest {
    @TempDir Path temp;

    @Test
    void withoutDescriptorsBlocksAreAbsent() throws IOException, InterruptedException {
        Path cache = Files.createDirectory(temp.resolve("cache"));
        CacheWriter writer = new CacheWriter(cache);
        FileId id = writer.randomId();
        for (int block = 0; block < 4; block++) {
            writer.block(id, block, Layout.PAGE_BYTES);
        }
        String java = Paths.get(System.getProperty("java.home"), "bin", "java").toString();
        Path out = temp.resolve("out");
        Process process =
                new ProcessBuilder(
                                "bash",
                                "-c",
                                "ulimit -n 120 && exec \"$0\" \"$@\"",
                                java,
                                "-XX:-MaxFDLimit",
                                "-Xmx64m",
                                "-cp",
                                System.getProperty("java.class.path"),
                                Starvation.class.getName(),
                                cache.toString(),
                                id.toString())
                        .redirectErrorStream(true)
                        .redirectOutput(out.toFile())
                        .start();
        if (!process.waitFor(60, TimeUnit.SECONDS)) {
            process.destroyForcibly().waitFor();
        }
        assertEquals(
                List.of(
                        "warm: yes",
                        "full: yes",
                        "idle gives way: yes",
                        "again: yes",
                        "absent: yes",
                        "counted: yes",
                        "recovers: yes"),
                Files.readAllLines(out));
    }
}
