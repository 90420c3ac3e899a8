package io.millpond.bench;

import java.io.EOFException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileRange;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/** Reads of one open file each. Opening is outside of the clock, except where a class says so. */
abstract class Streams extends Worker {
  private static final long READ_TIMEOUT_S = 120;

  final FileSystem fs;
  final Path path;
  final String policy;
  FSDataInputStream in;

  Streams(FileSystem fs, Path path, String policy) {
    this.fs = fs;
    this.path = path;
    this.policy = policy;
  }

  @Override
  void prepare() throws Exception {
    in = open(fs, path, policy);
  }

  @Override
  public void close() throws IOException {
    if (in != null) {
      in.close();
    }
  }

  static void await(List<FileRange> ranges) throws Exception {
    for (FileRange range : ranges) {
      ByteBuffer got = range.getData().get(READ_TIMEOUT_S, TimeUnit.SECONDS);
      if (got.remaining() != range.getLength()) {
        throw new EOFException(range + " came with " + got.remaining() + " bytes");
      }
    }
  }

  /** From the first byte to the last in chunks; its latencies are those of each {@code read}. */
  static final class Sequential extends Streams {
    private final byte[] chunk;
    private final long limit;

    Sequential(FileSystem fs, Path path, int chunkBytes, long limit) {
      super(fs, path, "sequential");
      this.chunk = new byte[chunkBytes];
      this.limit = limit;
    }

    @Override
    void work() throws IOException {
      long started = System.nanoTime();
      while (bytes < limit) {
        int n = in.read(chunk, 0, (int) Math.min(chunk.length, limit - bytes));
        if (n < 0) {
          break;
        }
        if (ops++ == 0) {
          latencies = new long[] {System.nanoTime() - started};
        }
        bytes += n;
      }
      if (limit != Long.MAX_VALUE && bytes != limit) {
        throw new EOFException(path + " ended after " + bytes + " of " + limit);
      }
    }
  }

  /** {@code readFully(position, …)} at random places, the same for every target of a seed. */
  static final class Positioned extends Streams {
    private final byte[] buffer;
    private final long[] places;

    Positioned(FileSystem fs, Path path, int size, int ops, long length, long seed) {
      super(fs, path, "random");
      this.buffer = new byte[size];
      this.places = new Random(seed).longs(ops, 0, length - size + 1).toArray();
    }

    @Override
    void work() throws IOException {
      long[] took = new long[places.length];
      long before = System.nanoTime();
      for (int i = 0; i < places.length; i++) {
        in.readFully(places[i], buffer, 0, buffer.length);
        long after = System.nanoTime();
        took[i] = after - before;
        before = after;
      }
      latencies = took;
      ops = places.length;
      bytes = (long) places.length * buffer.length;
    }
  }

  /** {@code readVectored} of disjoint ranges in ascending order, the same for every target of a seed. */
  static final class Vectored extends Streams {
    private final List<List<FileRange>> calls = new ArrayList<>();

    Vectored(FileSystem fs, Path path, int ranges, int size, int ops, long length, long seed) {
      super(fs, path, "vector");
      Random random = new Random(seed);
      long stride = length / ranges;
      if (stride < size) {
        throw new IllegalArgumentException(path + " is too short for " + ranges + " ranges");
      }
      for (int i = 0; i < ops; i++) {
        List<FileRange> call = new ArrayList<>();
        for (int r = 0; r < ranges; r++) {
          long within = Math.floorMod(random.nextLong(), stride - size + 1);
          call.add(FileRange.createFileRange(r * stride + within, size));
        }
        calls.add(call);
      }
    }

    @Override
    void work() throws Exception {
      long[] took = new long[calls.size()];
      for (List<FileRange> call : calls) {
        long before = System.nanoTime();
        in.readVectored(call, ByteBuffer::allocate);
        await(call);
        took[(int) ops++] = System.nanoTime() - before;
        bytes += call.stream().mapToLong(FileRange::getLength).sum();
      }
      latencies = took;
    }
  }

  /**
   * Replays a list of reads: {@code p OFFSET:LENGTH} is one positioned read, {@code v OFFSET:LENGTH
   * …} one vectored read. Opening is inside the clock.
   */
  static final class Replay extends Streams {
    private final List<String> steps;

    Replay(FileSystem fs, Path path, List<String> steps) {
      super(fs, path, "parquet, columnar, vector, random");
      this.steps = steps;
    }

    @Override
    void prepare() {}

    @Override
    void work() throws Exception {
      in = open(fs, path, policy);
      long[] took = new long[steps.size()];
      for (String step : steps) {
        String[] parts = step.split(" ");
        List<FileRange> ranges = new ArrayList<>();
        for (String part : Arrays.asList(parts).subList(1, parts.length)) {
          String[] pair = part.split(":");
          ranges.add(FileRange.createFileRange(Long.parseLong(pair[0]), Integer.parseInt(pair[1])));
        }
        long before = System.nanoTime();
        perform(parts[0], ranges);
        took[(int) ops++] = System.nanoTime() - before;
        bytes += ranges.stream().mapToLong(FileRange::getLength).sum();
      }
      latencies = took;
    }

    private void perform(String kind, List<FileRange> ranges) throws Exception {
      if (kind.equals("v")) {
        in.readVectored(ranges, ByteBuffer::allocate);
        await(ranges);
        return;
      }
      for (FileRange range : ranges) {
        byte[] buffer = new byte[range.getLength()];
        in.readFully(range.getOffset(), buffer, 0, buffer.length);
      }
    }
  }
}
