package io.millpond.fs.local;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Random;

/** Writes a cache directory as the sidecar does, with its order of steps: for tests. */
public final class CacheWriter {
    private final Path dir;
    private final Random random = new Random(7);

    public CacheWriter(Path dir) throws IOException {
        this.dir = dir;
        for (String room : new String[] {"meta", "dirs", "blocks", "staging"}) {
            Files.createDirectories(dir.resolve(room));
        }
    }

    public Path dir() {
        return dir;
    }

    /** Byte at an offset of the test file with this id: what all fire tests agree on. */
    public static byte contentAt(byte[] id, long offset) {
        return (byte) ((offset * 31 + (id[(int) (offset % 16)] & 0xff)) % 251);
    }

    /** Bytes [from, from + count) of the test file with this id. */
    public static byte[] content(FileId file, long from, int count) {
        byte[] id = file.bytes();
        byte[] data = new byte[count];
        for (int i = 0; i < count; i++) {
            data[i] = contentAt(id, from + i);
        }
        return data;
    }

    /** The id that 32 hex digits name. */
    public static FileId id(String hex) {
        byte[] bytes = new byte[FileId.BYTES];
        for (int i = 0; i < bytes.length; i++) {
            bytes[i] = (byte) Integer.parseInt(hex.substring(2 * i, 2 * i + 2), 16);
        }
        return FileId.of(bytes);
    }

    public FileId randomId() {
        byte[] bytes = new byte[16];
        random.nextBytes(bytes);
        return FileId.of(bytes);
    }

    /** Links a new block file without any page; the generation. */
    public long createBlock(FileId file, int block, int validBytes) throws IOException {
        ByteBuffer head = ByteBuffer.allocate(4096).order(ByteOrder.LITTLE_ENDIAN);
        long generation = random.nextLong();
        head.put("MPONDBLK".getBytes(StandardCharsets.US_ASCII));
        head.putInt(1).putInt(Layout.PAGE_BYTES).putInt(Layout.BLOCK_BYTES);
        head.putInt(Layout.DATA_OFFSET).put(file.bytes()).putInt(block).putInt(validBytes);
        head.putLong(generation).putInt(Crc.of(head.array(), 0, 56));
        Path staged = dir.resolve("staging").resolve(Long.toHexString(random.nextLong()));
        try (RandomAccessFile out = new RandomAccessFile(staged.toFile(), "rw")) {
            out.write(head.array());
            out.setLength(Layout.DATA_OFFSET + validBytes);
        }
        Path name = blockPath(file, block);
        Files.createDirectories(name.getParent());
        Files.createLink(name, staged);
        Files.delete(staged);
        return generation;
    }

    public Path blockPath(FileId file, int block) {
        return dir.resolve(Names.blockName(file, block));
    }

    /** Fills pages [first, last) with the test content: data, then CRCs, then bits. */
    public void fill(FileId file, int block, int first, int last) throws IOException {
        try (RandomAccessFile out = new RandomAccessFile(blockPath(file, block).toFile(), "rw")) {
            byte[] header = new byte[Layout.HEADER_READ_BYTES];
            out.readFully(header);
            int valid = BlockHeader.parse(header).validBytes;
            for (int page = first; page < last; page++) {
                int at = page << Layout.PAGE_SHIFT;
                int size = Math.min(Layout.PAGE_BYTES, valid - at);
                long offset = (long) block * Layout.BLOCK_BYTES + at;
                byte[] data = content(file, offset, size);
                out.seek(Layout.DATA_OFFSET + at);
                out.write(data);
                int crc = Crc.ofPage(file, block, page, ByteBuffer.wrap(data));
                out.seek(1024 + 4L * page);
                out.write(little(4).putInt(crc).array());
            }
            for (int page = first; page < last; page++) {
                header[64 + page / 8] |= (byte) (1 << page % 8);
            }
            out.seek(64);
            out.write(header, 64, 32);
        }
    }

    /** A complete block. */
    public void block(FileId file, int block, int validBytes) throws IOException {
        createBlock(file, block, validBytes);
        int pages = (validBytes + Layout.PAGE_BYTES - 1) / Layout.PAGE_BYTES;
        fill(file, block, 0, pages);
    }

    /** All blocks of a test file. */
    public void file(FileId file, long length) throws IOException {
        for (int block = 0; (long) block * Layout.BLOCK_BYTES < length; block++) {
            block(file, block, Layout.blockValidBytes(length, block));
        }
    }

    /** Meta of a file; {@code content} null where it is not inline. */
    public void meta(
            String storePath, FileId file, String version, long length, long atNs, byte[] content)
            throws IOException {
        byte[] path = storePath.getBytes(StandardCharsets.UTF_8);
        byte[] tag = version.getBytes(StandardCharsets.UTF_8);
        int inline = content == null ? 0 : content.length;
        int size = 96 + path.length + tag.length + inline + 4;
        ByteBuffer out = little(size);
        head(out, "MPONDMET", size).put(file.bytes()).putLong(length).putLong(1_700_000_000_000L);
        out.putLong(atNs).put(BootId.current().bytes()).putInt(content == null ? 0 : 1);
        out.putInt(path.length).putInt(tag.length).putInt(0).putInt(inline).putInt(0);
        out.put(path).put(tag).put(content == null ? new byte[0] : content);
        byte[] digest = Names.pathHash(storePath);
        replace(Names.metaName(digest), seal(out));
        bump(digest);
    }

    public void dropMeta(String storePath) throws IOException {
        byte[] digest = Names.pathHash(storePath);
        Files.deleteIfExists(dir.resolve(Names.metaName(digest)));
        bump(digest);
    }

    public void dirStamp(String storePath, long atNs, long coversFromNs) throws IOException {
        byte[] path = storePath.getBytes(StandardCharsets.UTF_8);
        int size = 56 + path.length + 4;
        ByteBuffer out = head(little(size), "MPONDDIR", size).putLong(atNs).putLong(coversFromNs);
        out.put(BootId.current().bytes()).putInt(path.length).putInt(0).put(path);
        byte[] digest = Names.pathHash(storePath);
        replace(Names.dirName(digest), seal(out));
        bump(digest);
    }

    public void lease(long renewedNs, long instance, long epochsId) throws IOException {
        ByteBuffer out = head(little(84), "MPONDLSE", 84).putLong(renewedNs);
        out.putLong(3_000_000_000L).put(BootId.current().bytes()).putLong(instance);
        out.putLong(epochsId).putInt(4242).putShort((short) 1).putShort((short) 1).putLong(0);
        replace("lease", seal(out));
    }

    public void epochs(long id) throws IOException {
        ByteBuffer out = little(4096 + 8 * 4096);
        out.put("MPONDEPO".getBytes(StandardCharsets.US_ASCII)).putInt(1).putInt(4096).putLong(id);
        replace("epochs", out.array());
    }

    /** Moves the slot of a path, as the sidecar does after each change. */
    public void bump(byte[] digest) throws IOException {
        Path file = dir.resolve("epochs");
        if (!Files.exists(file)) {
            return;
        }
        try (RandomAccessFile out = new RandomAccessFile(file.toFile(), "rw")) {
            long at = 4096 + 8L * Names.epochSlot(digest);
            out.seek(at);
            long next = Long.reverseBytes(out.readLong()) + 1;
            out.seek(at);
            out.writeLong(Long.reverseBytes(next));
        }
    }

    /** The mounts file around a serialised table; bytes, so that this class needs no protobuf. */
    public void mounts(byte[] table) throws IOException {
        int size = 16 + table.length + 4;
        replace("mounts", seal(head(little(size), "MPONDMNT", size).put(table)));
    }

    public void replace(String name, byte[] data) throws IOException {
        Path target = dir.resolve(name);
        Files.createDirectories(target.getParent());
        Path staged = dir.resolve("staging").resolve(Long.toHexString(random.nextLong()));
        Files.write(staged, data);
        Files.move(staged, target, StandardCopyOption.ATOMIC_MOVE);
    }

    private static ByteBuffer head(ByteBuffer out, String magic, int size) {
        return out.put(magic.getBytes(StandardCharsets.US_ASCII)).putInt(1).putInt(size);
    }

    private static byte[] seal(ByteBuffer out) {
        int body = out.capacity() - 4;
        return out.putInt(body, Crc.of(out.array(), 0, body)).array();
    }

    private static ByteBuffer little(int size) {
        return ByteBuffer.allocate(size).order(ByteOrder.LITTLE_ENDIAN);
    }
}
