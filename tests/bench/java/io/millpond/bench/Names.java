package io.millpond.bench;

import java.io.IOException;
import java.util.List;
import java.util.Random;
import java.util.stream.Collectors;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/** Measures of many small things by name: whole files, statuses, listings. */
abstract class Names extends Worker {
  final FileSystem fs;
  final int[] order;

  Names(FileSystem fs, int names, int operations, long seed) {
    this.fs = fs;
    this.order = new Random(seed).ints(operations, 0, names).toArray();
  }

  @Override
  void prepare() {}

  @Override
  void work() throws Exception {
    long[] took = new long[order.length];
    long before = System.nanoTime();
    for (int i = 0; i < order.length; i++) {
      bytes += one(order[i]);
      long after = System.nanoTime();
      took[i] = after - before;
      before = after;
    }
    latencies = took;
    ops = order.length;
  }

  abstract long one(int name) throws IOException;

  static List<Path> paths(Path base, List<String> names) {
    return names.stream().map(name -> new Path(base, name)).collect(Collectors.toList());
  }

  /** Opens, reads to the end and closes small files. */
  static final class WholeFiles extends Names {
    private static final int BUFFER_BYTES = 64 * 1024;
    private final List<Path> files;
    private final byte[] buffer = new byte[BUFFER_BYTES];

    WholeFiles(FileSystem fs, List<Path> files, int ops, long seed) {
      super(fs, files.size(), ops, seed);
      this.files = files;
    }

    @Override
    long one(int name) throws IOException {
      long total = 0;
      try (FSDataInputStream in = fs.open(files.get(name))) {
        for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
          total += n;
        }
      }
      return total;
    }
  }

  /** {@code getFileStatus}. */
  static final class Statuses extends Names {
    private final List<Path> files;

    Statuses(FileSystem fs, List<Path> files, int ops, long seed) {
      super(fs, files.size(), ops, seed);
      this.files = files;
    }

    @Override
    long one(int name) throws IOException {
      FileStatus status = fs.getFileStatus(files.get(name));
      if (!status.isFile()) {
        throw new IOException(status.getPath() + " is not a file");
      }
      return 0;
    }
  }

  /** {@code listStatus} of one directory, which must have as many entries as expected. */
  static final class Listings extends Names {
    private final Path directory;
    private final int expected;

    Listings(FileSystem fs, Path directory, int ops, int expected) {
      super(fs, 1, ops, 0);
      this.directory = directory;
      this.expected = expected;
    }

    @Override
    long one(int name) throws IOException {
      int found = fs.listStatus(directory).length;
      if (found != expected) {
        throw new IOException(directory + " lists " + found + " entries, not " + expected);
      }
      return 0;
    }
  }
}
