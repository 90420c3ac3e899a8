package io.millpond.fs.local;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.millpond.fs.CorruptException;
import io.millpond.fs.InvalidPathException;
import io.millpond.fs.MillpondException;
import io.millpond.fs.UnknownFormatException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Names and layouts are what the vectors say, as in Python. */
class VectorsTest {
    static Stream<JsonNode> uris() throws IOException {
        return elements(Vectors.read("paths.json").get("uris"));
    }

    @ParameterizedTest
    @MethodSource("uris")
    void urisNamePaths(JsonNode vector) throws IOException {
        assertEquals(
                vector.get("path").textValue(), Names.parseUri(vector.get("uri").textValue()));
    }

    static Stream<String> invalid() throws IOException {
        return elements(Vectors.read("paths.json").get("invalid")).map(JsonNode::textValue);
    }

    @ParameterizedTest
    @MethodSource("invalid")
    void badUrisAreRefused(String uri) {
        assertThrows(InvalidPathException.class, () -> Names.parseUri(uri));
    }

    @ParameterizedTest
    @ValueSource(strings = {"/a\ud800", "/\udc00b", "/%2e%2E", "/..%2e/../a", "/."})
    void badPathsAreRefused(String path) {
        assertThrows(InvalidPathException.class, () -> Names.checkPath(path));
    }

    @ParameterizedTest
    @ValueSource(strings = {"/a\ud83d\ude00", "/...", "/..%2e", "/%2", "/a/.%2eb", "/%", "/.a"})
    void oddPathsAreTaken(String path) throws IOException {
        assertEquals(path, Names.checkPath(path));
    }

    static Stream<JsonNode> storePaths() throws IOException {
        return elements(Vectors.read("paths.json").get("store_paths"));
    }

    @ParameterizedTest
    @MethodSource("storePaths")
    void storePathsHashToNames(JsonNode vector) {
        String path = vector.get("store_path").textValue();
        byte[] digest = Names.pathHash(path);
        assertEquals(vector.get("sha256").textValue(), Names.hex(digest));
        assertEquals(vector.get("meta").textValue(), Names.metaName(digest));
        assertEquals(vector.get("dir").textValue(), Names.dirName(digest));
        assertEquals(vector.get("epoch_slot").intValue(), Names.epochSlot(digest));
        FileId id = Names.fileId(path, vector.get("version").textValue());
        assertEquals(vector.get("file_id").textValue(), id.toString());
        assertEquals(vector.get("block_3").textValue(), Names.blockName(id, 3));
    }

    static Stream<JsonNode> staged() throws IOException {
        return elements(Vectors.read("paths.json").get("staged"));
    }

    @ParameterizedTest
    @MethodSource("staged")
    void stagingOfABatchIsKnown(JsonNode vector) {
        assertEquals(
                vector.get("staged").booleanValue(),
                Names.isStaged(vector.get("path").textValue()));
    }

    static Stream<JsonNode> directories() throws IOException {
        return elements(Vectors.read("mounts.json").get("directories"));
    }

    @ParameterizedTest
    @MethodSource("directories")
    void directoryOfAStorePath(JsonNode vector) {
        assertEquals(
                vector.get("directory").textValue(),
                Names.directory(vector.get("store_path").textValue()));
    }

    static Stream<JsonNode> globs() throws IOException {
        return elements(Vectors.read("mounts.json").get("globs"));
    }

    @ParameterizedTest
    @MethodSource("globs")
    void globsMatch(JsonNode vector) {
        Globs glob = new Globs(List.of(vector.get("glob").textValue()));
        elements(vector.get("match"))
                .forEach(t -> assertTrue(glob.matches(t.textValue()), t::toString));
        elements(vector.get("differ"))
                .forEach(t -> assertFalse(glob.matches(t.textValue()), t::toString));
    }

    @Test
    void commitFilesAreTheSame() throws IOException {
        JsonNode vector = Vectors.read("mounts.json").get("commit_files");
        List<String> globs =
                elements(vector.get("globs"))
                        .map(JsonNode::textValue)
                        .collect(Collectors.toList());
        assertEquals(globs, Mount.COMMIT_FILES);
        MountTable table = MountList.parse("x", "/lake=s3a://b/p");
        elements(vector.get("match"))
                .map(each -> "/lake/" + each.textValue())
                .forEach(each -> assertTrue(table.find(each).isCommitFile(each), each));
        elements(vector.get("differ"))
                .map(each -> "/lake/" + each.textValue())
                .forEach(each -> assertFalse(table.find(each).isCommitFile(each), each));
    }

    @Test
    void metaIsRead() throws IOException {
        JsonNode vector = Vectors.read("layouts.json").get("meta_small");
        Meta meta = Meta.parse(Vectors.bytes(vector.get("record")));
        check(vector, meta);
        assertEquals(1, meta.place(Layout.SECTION_BYTES));
        assertEquals(0, meta.place(2 * Layout.SECTION_BYTES));
        ByteBuffer content = meta.content();
        byte[] bytes = new byte[content.remaining()];
        content.get(bytes);
        assertArrayEquals(Vectors.bytes(vector.get("content")), bytes);
        check(vector, meta.bare());
        assertTrue(meta.bare().stripped());
        JsonNode large = Vectors.read("layouts.json").get("meta_large");
        Meta second = Meta.parse(Vectors.bytes(large.get("record")));
        check(large, second);
        assertNull(second.content());
        assertFalse(second.inline());
    }

    @ParameterizedTest
    @ValueSource(strings = {"meta_pending", "meta_persisted"})
    void metaOfWhatWasBornHereIsRead(String name) throws IOException {
        JsonNode vector = Vectors.read("layouts.json").get(name);
        Meta meta = Meta.parse(Vectors.bytes(vector.get("record")));
        check(vector, meta);
        check(vector, meta.bare());
        assertEquals(vector.get("content").isNull(), meta.content() == null);
        if (meta.content() != null) {
            assertEquals(ByteBuffer.wrap(Vectors.bytes(vector.get("content"))), meta.content());
        }
    }

    private static void check(JsonNode vector, Meta meta) {
        assertEquals(vector.get("store_path").textValue(), meta.storePath());
        assertEquals(vector.get("file_id").textValue(), meta.fileId().toString());
        assertEquals(vector.get("version").textValue(), meta.version());
        assertEquals(vector.get("length").longValue(), meta.length());
        assertEquals(vector.get("mtime_ms").longValue(), meta.mtimeMs());
        assertEquals(vector.get("validated_ns").longValue(), meta.validatedNs());
        assertEquals(vector.get("boot_id").textValue(), Names.hex(meta.bootId().bytes()));
        assertEquals(vector.get("weak").booleanValue(), meta.weak());
        assertEquals(vector.get("pending").booleanValue(), meta.pending());
        assertEquals(vector.get("store_version").textValue(), meta.storeVersion());
    }

    @Test
    void stampLeaseAndMountsAreRead() throws IOException {
        JsonNode layouts = Vectors.read("layouts.json");
        JsonNode dir = layouts.get("dir");
        DirStamp stamp = DirStamp.parse(Vectors.bytes(dir.get("record")));
        assertEquals(dir.get("store_path").textValue(), stamp.storePath());
        assertEquals(dir.get("validated_ns").longValue(), stamp.validatedNs());
        assertEquals(dir.get("covers_from_ns").longValue(), stamp.coversFromNs());
        assertEquals(dir.get("boot_id").textValue(), Names.hex(stamp.bootId().bytes()));
        JsonNode vector = layouts.get("lease");
        Lease lease = Lease.parse(Vectors.bytes(vector.get("record")));
        assertEquals(vector.get("renewed_ns").longValue(), lease.renewedNs());
        assertEquals(vector.get("valid_for_ns").longValue(), lease.validForNs());
        assertEquals(vector.get("instance").textValue(), Long.toHexString(lease.instance()));
        assertEquals(vector.get("epochs_id").textValue(), Long.toHexString(lease.epochsId()));
        assertEquals(vector.get("boot_id").textValue(), Names.hex(lease.bootId().bytes()));
        assertEquals(vector.get("pid").intValue(), lease.pid());
        assertEquals(vector.get("protocol_min").intValue(), lease.protocolMin());
        assertEquals(vector.get("protocol_max").intValue(), lease.protocolMax());
        MountTable table =
                MountTable.parse(Vectors.bytes(layouts.get("mounts").get("record")));
        assertEquals(1, table.mounts().size());
    }

    @Test
    void aLeaseHoldsForItsTimeInItsBoot() throws IOException {
        Lease lease =
                Lease.parse(Vectors.bytes(Vectors.read("layouts.json").get("lease").get("record")));
        long end = lease.renewedNs() + lease.validForNs();
        assertTrue(lease.good(lease.renewedNs(), lease.bootId()));
        assertTrue(lease.good(end, lease.bootId()));
        assertFalse(lease.good(end + 1, lease.bootId()));
        assertFalse(lease.good(lease.renewedNs() - 1, lease.bootId()));
        assertFalse(lease.good(end, BootId.of(new byte[16], 0)));
    }

    @Test
    void blockHeaderAndPageCrcAreRead() throws IOException {
        JsonNode vector = Vectors.read("layouts.json").get("block");
        BlockHeader header = BlockHeader.parse(Vectors.bytes(vector.get("header")));
        assertEquals(vector.get("file_id").textValue(), header.fileId.toString());
        assertEquals(vector.get("block").intValue(), header.block);
        assertEquals(vector.get("valid_bytes").intValue(), header.validBytes);
        assertEquals(vector.get("generation").textValue(), Long.toHexString(header.generation));
        assertEquals(vector.get("pages").intValue(), header.pages);
        byte[] page = new byte[vector.get("page_3_length").intValue()];
        for (int i = 0; i < page.length; i++) {
            page[i] = (byte) (i * 7 % 251);
        }
        ByteBuffer direct = ByteBuffer.allocateDirect(page.length).put(page);
        direct.flip();
        for (ByteBuffer data : List.of(ByteBuffer.wrap(page), direct)) {
            int crc = Crc.ofPage(header.fileId, 2, 3, data);
            assertEquals(vector.get("page_3_crc").longValue(), crc & 0xffffffffL);
            assertEquals(page.length, data.remaining());
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"meta_small", "meta_large", "meta_persisted", "dir", "lease", "mounts"})
    void everyFlippedBitOfARecordIsFound(String name) throws IOException {
        byte[] good = Vectors.bytes(Vectors.read("layouts.json").get(name).get("record"));
        parse(name, good);
        for (int bit = 0; bit < 8 * good.length; bit++) {
            byte[] bad = good.clone();
            bad[bit / 8] ^= (byte) (1 << bit % 8);
            assertBad(name, bad);
        }
        for (int cut = 0; cut < good.length; cut++) {
            assertBad(name, Arrays.copyOf(good, cut));
        }
    }

    private static void assertBad(String name, byte[] data) {
        MillpondException e =
                assertThrows(MillpondException.class, () -> parse(name, data));
        assertTrue(e instanceof CorruptException || e instanceof UnknownFormatException);
    }

    private static void parse(String name, byte[] data) throws MillpondException {
        switch (name) {
            case "dir":
                DirStamp.parse(data);
                break;
            case "lease":
                Lease.parse(data);
                break;
            case "mounts":
                MountTable.parse(data);
                break;
            default:
                Meta.parse(data);
        }
    }

    private static Stream<JsonNode> elements(JsonNode array) {
        Stream.Builder<JsonNode> all = Stream.builder();
        array.forEach(all::add);
        return all.build();
    }
}
