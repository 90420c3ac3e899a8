package io.millpond.probe;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URI;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.zip.CRC32C;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.BlockLocation;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FSDataOutputStreamBuilder;
import org.apache.hadoop.fs.FileRange;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.FutureDataInputStreamBuilder;
import org.apache.hadoop.fs.LocatedFileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RemoteIterator;
import org.apache.hadoop.fs.StorageStatistics.LongStatistic;

/**
 * Reads and writes through Hadoop's FileSystem interface as told on standard input: one command a line, its
 * words separated by tabs; one line of answer, {@code ok} and words or {@code error class message}.
 * Words that may hold anything are base64.
 */
public final class Probe {
    private final Configuration conf = new Configuration();
    private final Map<String, FSDataInputStream> streams = new HashMap<>();
    private final Map<String, FSDataOutputStream> outputs = new HashMap<>();
    private FileSystem fs;

    public static void main(String[] args) throws IOException {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        System.setOut(System.err);
        Probe probe = new Probe();
        BufferedReader in =
                new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.println(probe.answer(line.split("\t", -1)));
        }
        System.exit(0);
    }

    private String answer(String[] words) {
        long began = System.nanoTime();
        try {
            String told = perform(words);
            return "ok\t" + (System.nanoTime() - began) + "\t" + told;
        } catch (Throwable e) {
            e.printStackTrace();
            Throwable told = e instanceof ExecutionException ? e.getCause() : e;
            String message = text(String.valueOf(told.getMessage()));
            return "error\t" + told.getClass().getName() + "\t" + message;
        }
    }

    private String perform(String[] w) throws Exception {
        switch (w[0]) {
            case "conf":
                conf.set(w[1], w[2]);
                return "";
            case "unset":
                conf.unset(w[1]);
                return "";
            case "fs":
                fs = FileSystem.newInstance(URI.create(w[1]), conf);
                return fs.getClass().getName();
            case "status":
                return row(fs.getFileStatus(new Path(w[1])));
            case "list":
                return rows(fs.listStatus(new Path(w[1])));
            case "files":
                return files(fs.listFiles(new Path(w[1]), true));
            case "summary":
                return fs.getContentSummary(new Path(w[1])).getLength() + "";
            case "locations":
                return locations(w[1]);
            case "delete":
                return fs.delete(new Path(w[1]), w.length > 2) + "";
            case "mkdirs":
                return fs.mkdirs(new Path(w[1])) + "";
            case "times":
                fs.setTimes(new Path(w[1]), Long.parseLong(w[2]), -1);
                return "";
            case "append":
                return fs.append(new Path(w[1])) + "";
            case "create":
                outputs.put(w[1], fs.create(new Path(w[2]), w[3].equals("overwrite")));
                return "";
            case "put":
                outputs.get(w[1]).write(Base64.getDecoder().decode(w[2]));
                return "";
            case "sync":
                outputs.get(w[1]).hsync();
                return "";
            case "finish":
                outputs.get(w[1]).close();
                return "";
            case "abort":
                return outputs.get(w[1]).abort().alreadyClosed() + "";
            case "syncable":
                return outputs.get(w[1]).hasCapability("hsync") + "";
            case "write":
                return write(new Path(w[1]), w[2], w[3].equals("builder"), w[4]);
            case "change":
                byte[] data = Base64.getDecoder().decode(w[4]);
                new Writes(fs, conf).perform(w[1], new Path(w[2]), new Path(w[3]), data);
                return "";
            case "rename":
                return fs.rename(new Path(w[1]), new Path(w[2])) + "";
            case "open":
                return open(w);
            case "planned":
                return planned(w);
            case "read":
                return read(streams.get(w[1]), Integer.parseInt(w[2]), Integer.parseInt(w[3]));
            case "skim":
                return skim(streams.get(w[1]), Integer.parseInt(w[2]));
            case "seek":
                streams.get(w[1]).seek(Long.parseLong(w[2]));
                return "";
            case "pread":
                return pread(streams.get(w[1]), Long.parseLong(w[2]), Integer.parseInt(w[3]));
            case "buffer":
                return buffer(streams.get(w[1]), Long.parseLong(w[2]), Integer.parseInt(w[3]));
            case "vectored":
                return vectored(streams.get(w[1]), w);
            case "interrupted":
                return interrupted(streams.get(w[1]), Long.parseLong(w[2]));
            case "capable":
                return streams.get(w[1]).hasCapability(w[2]) + "";
            case "close":
                streams.remove(w[1]).close();
                return "";
            case "counters":
                return counters();
            case "end":
                fs.close();
                return "";
            default:
                throw new IllegalArgumentException("unknown command " + w[0]);
        }
    }

    private String write(Path path, String data, boolean builder, String type)
            throws IOException {
        FSDataOutputStream out = builder ? builder(path, type).build() : fs.create(path, true);
        out.write(Base64.getDecoder().decode(data));
        out.close();
        return "";
    }

    private FSDataOutputStreamBuilder<?, ?> builder(Path path, String type) {
        FSDataOutputStreamBuilder<?, ?> builder = fs.createFile(path);
        builder.create();
        builder.overwrite(true);
        builder.recursive();
        if (!type.isEmpty()) {
            builder.must("fs.cache.write.type", type);
        }
        return builder;
    }

    private String open(String[] w) throws Exception {
        Path path = new Path(w[2]);
        if (w.length == 3) {
            streams.put(w[1], fs.open(path));
            return "";
        }
        FutureDataInputStreamBuilder builder = fs.openFile(path);
        builder.opt("fs.option.openfile.read.policy", w[3]);
        if (w.length > 5) {
            long length = Long.parseLong(w[4]);
            long mtime = Long.parseLong(w[5]);
            builder.withFileStatus(new FileStatus(length, false, 1, 1 << 20, mtime, path));
        }
        streams.put(w[1], builder.build().get());
        return "";
    }

    /** Opens with the status that the file system itself told: asked for it, or listed. */
    private String planned(String[] w) throws Exception {
        Path path = new Path(w[2]);
        FileStatus status = null;
        if (w[3].equals("listed")) {
            for (FileStatus each : fs.listStatus(path.getParent())) {
                status = each.getPath().getName().equals(path.getName()) ? each : status;
            }
        } else {
            status = fs.getFileStatus(path);
        }
        streams.put(w[1], fs.openFile(path).withFileStatus(status).build().get());
        return "";
    }

    /** Reads exactly so many bytes, {@code step} a call; their base64. */
    private static String read(FSDataInputStream in, int count, int step) throws IOException {
        byte[] all = new byte[count];
        int done = 0;
        while (done < count) {
            int read = in.read(all, done, Math.min(step, count - done));
            if (read < 0) {
                break;
            }
            done += read;
        }
        return bytes(all, done);
    }

    /** Reads to the end; length and CRC32C. */
    private static String skim(FSDataInputStream in, int step) throws IOException {
        byte[] some = new byte[step];
        CRC32C crc = new CRC32C();
        long total = 0;
        for (int read = in.read(some); read >= 0; read = in.read(some)) {
            crc.update(some, 0, read);
            total += read;
        }
        return total + "\t" + crc.getValue();
    }

    private static String pread(FSDataInputStream in, long at, int count) throws IOException {
        byte[] all = new byte[count];
        in.readFully(at, all);
        return bytes(all, count);
    }

    private static String buffer(FSDataInputStream in, long at, int count) throws IOException {
        ByteBuffer direct = ByteBuffer.allocateDirect(count);
        in.readFully(at, direct);
        direct.flip();
        byte[] all = new byte[count];
        direct.get(all);
        in.seek(at);
        ByteBuffer sequential = ByteBuffer.allocateDirect(count);
        while (sequential.hasRemaining() && in.read(sequential) > 0) {
            // the rest
        }
        sequential.flip();
        direct.flip();
        if (!direct.equals(sequential)) {
            throw new IllegalStateException("read(ByteBuffer) and readFully differ");
        }
        return bytes(all, count);
    }

    private static String vectored(FSDataInputStream in, String[] w) throws Exception {
        List<FileRange> ranges = new ArrayList<>();
        for (int i = 2; i < w.length; i++) {
            String[] range = w[i].split("\\+");
            ranges.add(
                    FileRange.createFileRange(
                            Long.parseLong(range[0]), Integer.parseInt(range[1])));
        }
        in.readVectored(ranges, ByteBuffer::allocate);
        StringBuilder out = new StringBuilder();
        for (FileRange range : ranges) {
            ByteBuffer data = range.getData().get();
            byte[] all = new byte[data.remaining()];
            data.get(all);
            out.append(out.length() == 0 ? "" : "\t").append(bytes(all, all.length));
        }
        return out.toString();
    }

    /** A read by a thread that was interrupted before: what it met, and the stream lives on. */
    private static String interrupted(FSDataInputStream in, long at) throws InterruptedException {
        String[] met = {"nothing"};
        Thread task =
                new Thread(
                        () -> {
                            Thread.currentThread().interrupt();
                            try {
                                in.readFully(at, new byte[100]);
                            } catch (IOException e) {
                                met[0] = e.getClass().getName();
                            }
                        });
        task.start();
        task.join();
        return met[0];
    }

    private String locations(String path) throws IOException {
        FileStatus status = fs.getFileStatus(new Path(path));
        StringBuilder out = new StringBuilder();
        for (BlockLocation each : fs.getFileBlockLocations(status, 0, status.getLen())) {
            out.append(out.length() == 0 ? "" : "\t")
                    .append(each.getOffset())
                    .append('+')
                    .append(each.getLength())
                    .append('@')
                    .append(String.join(",", each.getHosts()));
        }
        return out.toString();
    }

    private String counters() {
        Map<String, Long> sorted = new TreeMap<>();
        Iterator<LongStatistic> all = fs.getStorageStatistics().getLongStatistics();
        while (all.hasNext()) {
            LongStatistic each = all.next();
            sorted.put(each.getName(), each.getValue());
        }
        StringBuilder out = new StringBuilder();
        sorted.forEach(
                (name, value) ->
                        out.append(out.length() == 0 ? "" : "\t")
                                .append(name)
                                .append('=')
                                .append(value));
        return out.toString();
    }

    private static String files(RemoteIterator<LocatedFileStatus> all) throws IOException {
        List<FileStatus> found = new ArrayList<>();
        while (all.hasNext()) {
            found.add(all.next());
        }
        return rows(found.toArray(new FileStatus[0]));
    }

    private static String rows(FileStatus[] all) {
        StringBuilder out = new StringBuilder();
        for (FileStatus each : all) {
            out.append(out.length() == 0 ? "" : "\t").append(row(each));
        }
        return out.toString();
    }

    private static String row(FileStatus status) {
        return (status.isDirectory() ? "d" : "f")
                + ","
                + status.getLen()
                + ","
                + status.getModificationTime()
                + ","
                + text(status.getPath().toString());
    }

    private static String text(String text) {
        return Base64.getEncoder().encodeToString(text.getBytes(StandardCharsets.UTF_8));
    }

    private static String bytes(byte[] all, int count) {
        return Base64.getEncoder().encodeToString(java.util.Arrays.copyOf(all, count));
    }
}
