package io.millpond.bench;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.zip.CRC32C;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.StorageStatistics.LongStatistic;

/**
 * Measures file systems behind Hadoop's FileSystem interface, as told on standard input: one {@link
 * Command} a line, each answered by one line of JSON. It knows no target: they are configuration.
 *
 * <p>{@code fs name uri conf.*} makes a file system; {@code run fs measure …} takes one sample;
 * {@code write} writes one file; {@code digest} reads files to their end; {@code touch} asks for one
 * status; {@code stats} dumps counters; {@code delete} removes a file; {@code close} ends a file
 * system.
 */
public final class Agent {
  private final Map<String, FileSystem> systems = new HashMap<>();

  public static void main(String[] args) throws IOException {
    PrintStream answers = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    System.setOut(System.err);
    Agent agent = new Agent();
    BufferedReader in =
        new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      answers.println(Json.of(agent.answer(line)));
    }
    System.exit(0);
  }

  private Map<String, Object> answer(String line) {
    try {
      return perform(new Command(line));
    } catch (Throwable e) {
      e.printStackTrace();
      return Map.of("error", e.toString());
    }
  }

  private Map<String, Object> perform(Command command) throws Exception {
    switch (command.verb) {
      case "hello":
        return Map.of("java", System.getProperty("java.version"), "pid", ProcessHandle.current().pid());
      case "fs":
        return make(command);
      case "run":
        return run(command);
      case "write":
        return Written.one(system(command), command);
      case "delete":
        return Map.of("deleted", system(command).delete(new Path(command.text("path")), false));
      case "digest":
        return digest(system(command), command);
      case "stats":
        return stats(system(command));
      case "touch":
        system(command).getFileStatus(new Path(command.text("path")));
        return Map.of();
      case "close":
        systems.remove(command.text("fs")).close();
        return Map.of();
      default:
        throw new IllegalArgumentException("unknown verb " + command.verb);
    }
  }

  private FileSystem system(Command command) {
    FileSystem fs = systems.get(command.text("fs"));
    if (fs == null) {
      throw new IllegalArgumentException("no file system named " + command.text("fs"));
    }
    return fs;
  }

  private Map<String, Object> make(Command command) throws IOException {
    Configuration conf = new Configuration(true);
    command.below("conf.").forEach(conf::set);
    FileSystem fs = FileSystem.newInstance(URI.create(command.text("uri")), conf);
    systems.put(command.text("name"), fs);
    return Map.of("class", fs.getClass().getName());
  }

  /** One worker per thread; a thread has its own seed and, where there are several, its own file. */
  private Map<String, Object> run(Command command) throws Exception {
    FileSystem fs = system(command);
    List<Worker> workers = new ArrayList<>();
    for (int i = 0; i < command.number("threads", 1); i++) {
      workers.add(worker(command, fs, i));
    }
    return Sample.of(workers);
  }

  private static Worker worker(Command c, FileSystem fs, int thread) throws IOException {
    Path path = new Path(c.text("path"));
    switch (c.text("measure")) {
      case "sequential":
        return new Streams.Sequential(fs, path, c.number("size"), c.big("limit"));
      case "positioned":
        return new Streams.Positioned(
            fs, path, c.number("size"), c.number("ops"), c.big("length"), c.big("seed") + thread);
      case "vectored":
        return new Streams.Vectored(
            fs, path, c.number("ranges"), c.number("size"), c.number("ops"), c.big("length"),
            c.big("seed") + thread);
      case "replay":
        return new Streams.Replay(fs, path, c.lines("steps"));
      case "whole_files":
        return new Names.WholeFiles(
            fs, Names.paths(path, c.lines("names")), c.number("ops"), c.big("seed") + thread);
      case "statuses":
        return new Names.Statuses(
            fs, Names.paths(path, c.lines("names")), c.number("ops"), c.big("seed") + thread);
      case "listings":
        return new Names.Listings(fs, path, c.number("ops"), c.number("expected"));
      default:
        throw new IllegalArgumentException("unknown measure " + c.text("measure"));
    }
  }

  /** One checksum over a file, or over all files that {@code names} lists below {@code path}. */
  private static Map<String, Object> digest(FileSystem fs, Command command) throws IOException {
    Path path = new Path(command.text("path"));
    List<Path> files =
        command.has("names") ? Names.paths(path, command.lines("names")) : List.of(path);
    CRC32C crc = new CRC32C();
    byte[] buffer = new byte[1 << 20];
    long total = 0;
    for (Path file : files) {
      try (FSDataInputStream in = fs.open(file)) {
        for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
          crc.update(buffer, 0, n);
          total += n;
        }
      }
    }
    return Map.of("crc32c", crc.getValue(), "bytes", total);
  }

  private static Map<String, Object> stats(FileSystem fs) {
    Map<String, Object> out = new TreeMap<>();
    Iterator<LongStatistic> all = fs.getStorageStatistics().getLongStatistics();
    while (all.hasNext()) {
      LongStatistic one = all.next();
      out.put(one.getName(), one.getValue());
    }
    return out;
  }
}
