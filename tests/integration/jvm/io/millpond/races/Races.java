package io.millpond.races;

import java.io.BufferedReader;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.EtagSource;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileRange;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * Reads objects that others replace, by every way that Hadoop's interface has, and says what it saw
 * of which version: lines as {@code tests.fixtures.versions.Seen} reads them.
 *
 * <p>On standard input: {@code conf KEY VALUE} for the file systems that follow; {@code objects},
 * and {@code object NUMBER NAME MIN_LENGTH} for each of those that the readers after it read;
 * {@code reader KIND MOUNT,MOUNT… URI SEED}; {@code go}; separated by tabs. It reads until its input ends.
 */
public final class Races {
    private static final int RECORD_BYTES = 16;
    private static final int CHUNK_RECORDS = 4096 / RECORD_BYTES;
    private static final int STEP = 1 << 20;
    private static final int REST_MS = 200;

    private final PrintStream out;
    private volatile boolean over;
    private volatile CountDownLatch ready;
    private final CountDownLatch begin = new CountDownLatch(1);

    private Races(PrintStream out) {
        this.out = out;
    }

    public static void main(String[] args) throws Exception {
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        System.setOut(System.err);
        new Races(out).run();
        System.exit(0);
    }

    private void run() throws Exception {
        BufferedReader in =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        Configuration conf = new Configuration();
        List<Thread> threads = new ArrayList<>();
        List<Item> items = new ArrayList<>();
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String[] w = line.split("\t");
            switch (w[0]) {
                case "objects":
                    items = new ArrayList<>();
                    break;
                case "object":
                    items.add(new Item(Integer.parseInt(w[1]), w[2], Integer.parseInt(w[3])));
                    break;
                case "conf":
                    conf.set(w[1], w[2]);
                    break;
                case "reader":
                    FileSystem fs = FileSystem.newInstance(uri(w[3], w[2].split(",")[0]), conf);
                    threads.add(new Thread(new Reader(w, items, fs)));
                    break;
                case "go":
                    ready = new CountDownLatch(threads.size());
                    threads.forEach(Thread::start);
                    ready.await();
                    out.println("up");
                    out.flush();
                    begin.countDown();
                    break;
                default:
                    throw new IllegalArgumentException(line);
            }
        }
        over = true;
        for (Thread each : threads) {
            each.join();
        }
        out.println("end");
        out.flush();
    }

    private static URI uri(String base, String mount) {
        return URI.create(base.replace("MOUNT", mount));
    }

    private static final class Item {
        final int number;
        final String name;
        final int least;

        Item(int number, String name, int least) {
            this.number = number;
            this.name = name;
            this.least = least;
        }
    }

    /** The bytes are of no single version. */
    private static final class MixedException extends IOException {
        private static final long serialVersionUID = 1;

        MixedException(String message) {
            super(message);
        }
    }

    private final class Reader implements Runnable {
        private final List<Item> items;
        private final String kind;
        private final String[] mounts;
        private final Random random;
        private final String base;
        private final FileSystem fs;
        private final byte[] step = new byte[STEP];
        private long openedNs;
        private long version;
        private long length;
        private String etag;

        Reader(String[] w, List<Item> items, FileSystem fs) {
            this.items = items;
            kind = w[1];
            mounts = w[2].split(",");
            random = new Random(Long.parseLong(w[4]));
            base = w[3];
            this.fs = fs;
        }

        @Override
        public void run() {
            look(items.get(0), mounts[0]); // classes and connectors are loaded, and that is not told
            ready.countDown();
            try {
                begin.await();
            } catch (InterruptedException e) {
                return;
            }
            while (!over) {
                Item item = items.get(random.nextInt(items.size()));
                String mount = mounts[random.nextInt(mounts.length)];
                String outcome = look(item, mount);
                long ended = System.nanoTime();
                String line =
                        String.join("\t", kind, mount, item.number + "", openedNs + "", ended + "")
                                + '\t' + outcome + '\t' + length;
                synchronized (out) {
                    out.println(line);
                    out.flush();
                }
                rest((ended - openedNs) / 1_000_000 + random.nextInt(5));
            }
        }

        private String look(Item item, String mount) {
            version = length = -1;
            etag = null;
            openedNs = System.nanoTime();
            try {
                perform(item, new Path(uri(base, mount).resolve(item.name)));
                return etag == null ? "v" + version : 'e' + etag;
            } catch (Throwable e) {
                length = -1;
                return outcome(e instanceof ExecutionException ? e.getCause() : e);
            }
        }

        /** As long as it read, so that writers and sidecar get their share of the machine. */
        private void rest(long ms) {
            try {
                Thread.sleep(Math.min(ms, REST_MS));
            } catch (InterruptedException e) {
                over = true;
            }
        }

        private String outcome(Throwable e) {
            String name = e.getClass().getSimpleName();
            if (e instanceof MixedException) {
                return "mixed " + e.getMessage();
            }
            if (e instanceof FileNotFoundException) {
                return "absent";
            }
            if (name.contains("Changed")) {
                return "changed";
            }
            e.printStackTrace();
            return "error " + (name + ' ' + e.getMessage()).replaceAll("\\s+", " ");
        }

        private void perform(Item item, Path path) throws Exception {
            switch (kind.substring(kind.indexOf('-') + 1)) {
                case "read":
                    try (FSDataInputStream in = fs.open(path)) {
                        whole(item, in);
                    }
                    break;
                case "pread":
                    try (FSDataInputStream in = fs.open(path)) {
                        positioned(item, in);
                    }
                    break;
                case "vectored":
                    try (FSDataInputStream in = fs.open(path)) {
                        vectored(item, in);
                    }
                    break;
                case "planned":
                    planned(item, path, fs.getFileStatus(path));
                    break;
                case "listed":
                    planned(item, path, listed(path));
                    break;
                case "list":
                    etag = ((EtagSource) listed(path)).getEtag();
                    break;
                default:
                    throw new IllegalArgumentException(kind);
            }
        }

        private FileStatus listed(Path path) throws IOException {
            for (FileStatus each : fs.listStatus(path.getParent())) {
                if (each.getPath().getName().equals(path.getName())) {
                    return each;
                }
            }
            throw new FileNotFoundException(path + " is not listed");
        }

        private void planned(Item item, Path path, FileStatus status) throws Exception {
            FSDataInputStream opened = fs.openFile(path).withFileStatus(status).build().get();
            try (FSDataInputStream in = opened) {
                whole(item, in);
            }
            if (length != status.getLen()) {
                throw new MixedException("planned with length " + status.getLen() + ": " + length);
            }
        }

        private void whole(Item item, FSDataInputStream in) throws IOException {
            long total = 0;
            int kept = 0;
            int read;
            while ((read = in.read(step, kept, step.length - kept)) >= 0) {
                int have = kept + read;
                int used = have / RECORD_BYTES * RECORD_BYTES;
                check(item, ByteBuffer.wrap(step, 0, used), total);
                total += used;
                kept = have - used;
                System.arraycopy(step, used, step, 0, kept);
            }
            length = total + kept;
        }

        private void positioned(Item item, FSDataInputStream in) throws IOException {
            for (int i = 0; i < 5; i++) {
                int at = at(item.least, 1);
                byte[] data = new byte[size(item.least - at)];
                in.readFully(at, data);
                check(item, ByteBuffer.wrap(data), at);
                Thread.yield();
            }
        }

        private void vectored(Item item, FSDataInputStream in) throws Exception {
            List<FileRange> ranges = new ArrayList<>();
            int part = item.least / 4 / RECORD_BYTES * RECORD_BYTES;
            for (int i = 0; i < 4; i++) {
                int at = at(part, 2);
                ranges.add(FileRange.createFileRange(i * part + at, size(part - at)));
            }
            in.readVectored(ranges, ByteBuffer::allocate);
            for (FileRange each : ranges) {
                check(item, each.getData().get(), each.getOffset());
            }
        }

        /** A place within the first {@code 1/of} of so many bytes. */
        private int at(int least, int of) {
            return random.nextInt(least / of / RECORD_BYTES) * RECORD_BYTES;
        }

        private int size(int most) {
            int records = Math.min(most, STEP) / RECORD_BYTES;
            return (1 + random.nextInt(records)) * RECORD_BYTES;
        }

        private void check(Item item, ByteBuffer data, long at) throws MixedException {
            ByteBuffer records = data.order(ByteOrder.LITTLE_ENDIAN);
            long record = at / RECORD_BYTES;
            for (; records.remaining() >= RECORD_BYTES; record++) {
                int object = records.getInt();
                long found = records.getInt();
                long chunk = records.getLong();
                version = version < 0 ? found : version;
                if (object != item.number || found != version || chunk != record / CHUNK_RECORDS) {
                    throw new MixedException(
                            "object " + object + " version " + found + " chunk " + chunk
                                    + " at byte " + record * RECORD_BYTES
                                    + " after version " + version);
                }
            }
        }
    }
}
