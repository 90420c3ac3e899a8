package io.millpond.fs.local;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.millpond.fs.MountNotFoundException;
import io.millpond.fs.wire.Wire;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** What a process believes of a cache directory, and when it looks again. */
@Timeout(60)
class CacheDirTest {
    private static final String PATH = "0123456789abcdef/bucket/dir/file";
    private static final String DIR = "0123456789abcdef/bucket/dir";
    private static final byte[] HELLO = "hello".getBytes(StandardCharsets.UTF_8);

    @TempDir Path temp;
    private CacheWriter writer;
    private FileId id;
    private CacheDir dir;
    private final Recorder events = new Recorder();

    @BeforeEach
    void prepare() throws IOException {
        writer = new CacheWriter(temp);
        id = writer.randomId();
        dir = CacheDir.open(temp);
        dir.listen(events);
    }

    @AfterEach
    void finish() {
        dir.close();
    }

    @Test
    void oneProcessHasOneOfEachDirectory() throws IOException {
        CacheDir again = CacheDir.open(temp.resolve(".").resolve("../" + temp.getFileName()));
        assertSame(dir, again);
        again.close();
        assertThrows(NotDirectoryException.class, () -> CacheDir.open(temp.resolve("none")));
    }

    @Test
    void anEmptyDirectorySaysNothing() {
        assertNull(dir.lease());
        assertFalse(dir.leaseGood());
        assertNull(dir.meta(PATH));
        assertNull(dir.dirStamp(DIR));
        assertEquals(0, dir.mounts().mounts().size());
        assertEquals("", dir.node().nodeId());
        assertEquals(0, events.troubles());
    }

    @Test
    void aLeaseIsReadAgainAndRunsOut() throws Exception {
        writer.lease(dir.nowNs(), 1, 5);
        dir.expireLease();
        assertTrue(dir.leaseGood());
        writer.lease(dir.nowNs() - 3_100_000_000L, 2, 5);
        BlockPoolTest.await(() -> dir.lease().instance() == 2);
        assertFalse(dir.leaseGood());
        Files.delete(temp.resolve("lease"));
        BlockPoolTest.await(() -> dir.lease() == null);
    }

    @Test
    void metaIsRememberedWhileItsSlotStands() throws IOException {
        writer.epochs(5);
        writer.lease(dir.nowNs(), 1, 5);
        dir.expireLease();
        assertNull(dir.meta(PATH));
        writer.meta(PATH, id, "v1", 5, 10, HELLO);
        Meta first = dir.meta(PATH);
        assertEquals("v1", first.version());
        assertSame(first, dir.meta(PATH));
        assertSame(first, dir.metaForStatus(PATH));
        writer.meta(PATH, id, "v2", 5, 11, HELLO);
        assertEquals("v2", dir.meta(PATH).version());
        writer.dropMeta(PATH);
        assertNull(dir.meta(PATH));
        assertNull(dir.meta(PATH));
        writer.meta(PATH, id, "v3", 9, 12, null);
        assertEquals("v3", dir.meta(PATH).version());
    }

    /** The file changes behind the table's back: memory answers, so nothing was read. */
    @Test
    void aRememberedMetaCostsNoRead() throws IOException {
        writer.epochs(5);
        writer.lease(dir.nowNs(), 1, 5);
        dir.expireLease();
        writer.meta(PATH, id, "v1", 5, 10, HELLO);
        writer.dirStamp(DIR, 77, 66);
        Meta meta = dir.meta(PATH);
        DirStamp stamp = dir.dirStamp(DIR);
        Files.delete(temp.resolve(Names.metaName(Names.pathHash(PATH))));
        Files.delete(temp.resolve(Names.dirName(Names.pathHash(DIR))));
        assertSame(meta, dir.meta(PATH));
        assertSame(stamp, dir.dirStamp(DIR));
        writer.bump(Names.pathHash(PATH));
        writer.bump(Names.pathHash(DIR));
        assertNull(dir.meta(PATH));
        assertNull(dir.dirStamp(DIR));
    }

    /** Another sidecar has other epochs; without any that the lease names there is no memory. */
    @Test
    void memoryEndsWithItsEpochs() throws IOException {
        writer.epochs(5);
        writer.lease(dir.nowNs(), 1, 5);
        dir.expireLease();
        writer.meta(PATH, id, "v1", 5, 10, HELLO);
        assertEquals("v1", dir.meta(PATH).version());
        writer.epochs(6);
        writer.lease(dir.nowNs(), 2, 6);
        changeBehind("v2");
        dir.expireLease();
        assertEquals("v2", dir.meta(PATH).version());
        writer.lease(dir.nowNs(), 3, 7);
        dir.expireLease();
        changeBehind("v3");
        assertEquals("v3", dir.meta(PATH).version());
        changeBehind("v4");
        assertEquals("v4", dir.meta(PATH).version());
        Files.delete(temp.resolve("epochs"));
        Files.write(temp.resolve("epochs"), new byte[100]);
        dir.expireLease();
        changeBehind("v5");
        assertEquals("v5", dir.meta(PATH).version());
    }

    private void changeBehind(String version) throws IOException {
        Path epochs = temp.resolve("epochs");
        Path aside = temp.resolve("aside");
        Files.move(epochs, aside);
        writer.meta(PATH, id, version, 5, 10, HELLO);
        Files.move(aside, epochs);
    }

    @Test
    void aDamagedMetaIsAbsentUntilReplaced() throws IOException {
        writer.epochs(5);
        writer.lease(dir.nowNs(), 1, 5);
        dir.expireLease();
        writer.meta(PATH, id, "v1", 5, 10, HELLO);
        Path file = temp.resolve(Names.metaName(Names.pathHash(PATH)));
        byte[] bytes = Files.readAllBytes(file);
        bytes[40] ^= 1;
        Files.write(file, bytes);
        assertNull(dir.meta(PATH));
        assertEquals(LocalEvents.Trouble.CORRUPT, events.lastTrouble());
        writer.meta(PATH, id, "v2", 5, 10, HELLO);
        assertEquals("v2", dir.meta(PATH).version());
        String other = PATH + "2";
        Path wrong = temp.resolve(Names.metaName(Names.pathHash(other)));
        Files.createDirectories(wrong.getParent());
        Files.copy(file, wrong);
        assertNull(dir.meta(other), "another file's meta under this name");
    }

    @Test
    void mountsAndNodeAreReadAgainWhenReplaced() throws Exception {
        writer.mounts(table("/a"));
        writer.replace("node.properties", "format=1\nnode.id=x\n".getBytes(StandardCharsets.UTF_8));
        BlockPoolTest.await(() -> dir.mounts().mounts().size() == 1);
        BlockPoolTest.await(() -> dir.node().nodeId().equals("x"));
        writer.mounts(table("/a", "/a/b", "/c/d/e"));
        MountTable table = dir.mountsNow();
        assertEquals("/a/b", table.find("/a/b").path());
        assertEquals("/a/b", table.find("/a/b/c").path());
        assertEquals("/a", table.find("/a/bc").path());
        assertNull(table.find("/"));
        assertNull(table.find("/c/d"));
        assertEquals(List.of("a", "c"), table.mountPoints("/"));
        assertEquals(List.of("d"), table.mountPoints("/c"));
        assertThrows(MountNotFoundException.class, () -> table.resolve("/c/d"));
        Files.delete(temp.resolve("mounts"));
        assertEquals(3, dir.mountsNow().mounts().size());
        writer.replace("mounts", new byte[50]);
        assertEquals(3, dir.mountsNow().mounts().size());
        assertEquals(LocalEvents.Trouble.CORRUPT, events.lastTrouble());
    }

    private static byte[] table(String... paths) {
        Wire.MountTable.Builder table = Wire.MountTable.newBuilder();
        for (String path : paths) {
            table.addMounts(Wire.Mount.newBuilder().setPath(path).setStoreUri("s3a://b/p"));
        }
        return table.build().toByteArray();
    }

    @Test
    void aMountNamesKeys() {
        Wire.Mount.Builder wire =
                Wire.Mount.newBuilder()
                        .setStoreId("id")
                        .setRoot("b")
                        .setStoreUri("s3a://b/p/q")
                        .addImmutable("**/*.parquet");
        Mount deep = new Mount(wire.clone().setPath("/m").setPrefix("p/q").build());
        assertEquals("p/q/x//y", deep.key("/m/x//y"));
        assertEquals("p/q", deep.key("/m"));
        assertEquals("id/b/p/q/x", deep.storePath(deep.key("/m/x")));
        assertEquals("s3a://b/p/q/x", deep.uri(deep.key("/m/x")));
        assertTrue(deep.isImmutable("/m/a.parquet"));
        assertFalse(deep.isImmutable("/m/a.csv"));
        Mount root = new Mount(wire.clone().setPath("/").setPrefix("").build());
        assertEquals("x/y", root.key("/x/y"));
        assertEquals("", root.key("/"));
        assertTrue(root.isImmutable("/x/a.parquet"));
    }

    @Test
    void nodePropertiesAreRead() throws IOException {
        String text =
                "# c\nformat=1\nnode.id=abc\nnode.aliases=h1, h1.example ,10.0.0.1\n"
                        + "socket=/run/a=b.sock\ntcp.host=127.0.0.1\ntcp.port=4711\nhttp.port=x\n";
        NodeProperties node = NodeProperties.parse(text.getBytes(StandardCharsets.UTF_8));
        assertEquals(List.of("h1", "h1.example", "10.0.0.1"), node.aliases());
        assertEquals("/run/a=b.sock", node.socket());
        assertEquals(4711, node.tcpPort());
        assertEquals(0, node.httpPort());
        assertNotNull(node.tcpHost());
    }
}
