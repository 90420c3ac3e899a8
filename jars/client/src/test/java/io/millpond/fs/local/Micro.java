package io.millpond.fs.local;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.SplittableRandom;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.RawLocalFileSystem;

/**
 * Block reads beside RawLocalFileSystem's on as many bytes, interleaved: a quick look while tuning;
 * figures worth quoting come from the bench. {@code Micro <folder on the disk in question>}
 */
final class Micro {
    private static final int BLOCKS = 8;
    private static final long LENGTH = (long) BLOCKS * Layout.BLOCK_BYTES;
    private static final int ROUNDS = 15;

    private final BlockPool pool;
    private final FileId id;
    private final FSDataInputStream raw;
    private final Block[] held = new Block[BLOCKS];

    private Micro(BlockPool pool, FileId id, FSDataInputStream raw) {
        this.pool = pool;
        this.id = id;
        this.raw = raw;
    }

    public static void main(String[] args) throws IOException {
        Path dir = Files.createTempDirectory(Path.of(args[0]), "micro");
        try {
            CacheWriter writer = new CacheWriter(dir);
            FileId id = writer.randomId();
            writer.file(id, LENGTH);
            Path plain = dir.resolve("plain");
            byte[] part = new byte[Layout.PAGE_BYTES]; // as the blocks are: folios have that size
            try (java.io.OutputStream out = Files.newOutputStream(plain)) {
                for (int i = 0; i < LENGTH / part.length; i++) {
                    Arrays.fill(part, (byte) i);
                    out.write(part);
                }
            }
            RawLocalFileSystem fs = new RawLocalFileSystem();
            fs.initialize(java.net.URI.create("file:///"), new Configuration(false));
            try (FSDataInputStream in =
                            fs.open(new org.apache.hadoop.fs.Path(plain.toUri()), 4096);
                    BlockPool pool =
                            new BlockPool(dir, new LocalEvents() {}, 256, BlockPool.IDLE_NS)) {
                new Micro(pool, id, in).run();
            }
            status(fs, dir, writer, plain);
        } finally {
            try (Stream<Path> all = Files.walk(dir)) {
                for (Path each : (Iterable<Path>) all.sorted(Comparator.reverseOrder())::iterator) {
                    Files.delete(each);
                }
            }
        }
    }

    private void run() throws IOException {
        for (int i = 0; i < BLOCKS; i++) {
            held[i] = pool.acquire(id, i, Layout.BLOCK_BYTES);
        }
        for (int size : new int[] {8 << 10, 64 << 10, 256 << 10, 1 << 20}) {
            positioned(size, 120_000_000 / size + 200);
        }
        sequential("seq 1 MiB, first touch");
        sequential("seq 1 MiB, proven");
        for (Block each : held) {
            each.close();
        }
    }

    private void sequential(String name) throws IOException {
        byte[] data = new byte[1 << 20];
        double[] ours = new double[ROUNDS];
        double[] theirs = new double[ROUNDS];
        for (int round = 0; round < ROUNDS; round++) {
            if (name.endsWith("first touch")) {
                for (int i = 0; i < BLOCKS; i++) {
                    held[i].retire();
                    held[i].close();
                    held[i] = pool.acquire(id, i, Layout.BLOCK_BYTES);
                }
            }
            long start = cpuNs();
            for (long at = 0; at < LENGTH; ) {
                Block block = held[Layout.blockOf(at)];
                at += block.read(at % Layout.BLOCK_BYTES, data, 0, data.length);
            }
            long middle = cpuNs();
            raw.seek(0);
            for (long at = 0; at < LENGTH; ) {
                at += raw.read(data, 0, data.length);
            }
            ours[round] = middle - start;
            theirs[round] = cpuNs() - middle;
        }
        say(name, LENGTH / median(ours), LENGTH / median(theirs), "GB per CPU s");
    }

    /** Of this thread: on a busy machine wall time says more about the others. */
    private static long cpuNs() {
        return java.lang.management.ManagementFactory.getThreadMXBean().getCurrentThreadCpuTime();
    }

    private void positioned(int size, int count) throws IOException {
        byte[] data = new byte[size];
        double[] ours = new double[ROUNDS * count];
        double[] theirs = new double[ROUNDS * count];
        SplittableRandom random = new SplittableRandom(1);
        for (int i = 0; i < ours.length; i++) {
            long at = random.nextLong(LENGTH - size);
            if (i % 2 == 0) {
                ours[i] = readOurs(at, data);
                theirs[i] = readRaw(at, data);
            } else {
                theirs[i] = readRaw(at, data);
                ours[i] = readOurs(at, data);
            }
        }
        say("pread " + size / 1024 + " KiB p50", median(ours), median(theirs), "us");
    }

    private double readOurs(long at, byte[] data) throws IOException {
        long start = System.nanoTime();
        int have = 0;
        while (have < data.length) {
            long from = at + have;
            Block block = held[Layout.blockOf(from)];
            have += block.read(from % Layout.BLOCK_BYTES, data, have, data.length - have);
        }
        return (System.nanoTime() - start) / 1e3;
    }

    private double readRaw(long at, byte[] data) throws IOException {
        long start = System.nanoTime();
        raw.readFully(at, data, 0, data.length);
        return (System.nanoTime() - start) / 1e3;
    }

    private static void status(FileSystem fs, Path dir, CacheWriter writer, Path plain)
            throws IOException {
        String name = "id/bucket/dir/file";
        writer.epochs(5);
        writer.lease(System.nanoTime(), 1, 5);
        writer.meta(name, writer.randomId(), "v", 5, System.nanoTime(), new byte[5]);
        org.apache.hadoop.fs.Path path = new org.apache.hadoop.fs.Path(plain.toUri());
        try (CacheDir cache = CacheDir.open(dir)) {
            double[] ours = new double[20_000];
            double[] theirs = new double[ours.length];
            for (int i = 0; i < ours.length; i++) {
                long start = System.nanoTime();
                if (cache.metaForStatus(name) == null) {
                    throw new IOException("no meta");
                }
                long middle = System.nanoTime();
                fs.getFileStatus(path);
                ours[i] = (middle - start) / 1e3;
                theirs[i] = (System.nanoTime() - middle) / 1e3;
            }
            say("meta (status) p50", median(ours), median(theirs), "us");
        }
    }

    private static double median(double[] values) {
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        return sorted[sorted.length / 2];
    }

    private static void say(String name, double ours, double raw, String unit) {
        System.out.printf("%-24s ours %8.2f raw %8.2f %s%n", name, ours, raw, unit);
    }
}
