package io.millpond.bench;

import java.io.Closeable;
import java.io.IOException;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/** One thread's part of a measure: {@code prepare} is outside of the clock, {@code work} is timed. */
abstract class Worker implements Closeable {
  long ops;
  long bytes;

  /** Nanoseconds of each operation, or null where only the sum is of interest. */
  long[] latencies;

  abstract void prepare() throws Exception;

  abstract void work() throws Exception;

  @Override
  public void close() throws IOException {}

  /** Opens as Hadoop's own readers do, naming the read policy; unknown options are ignored. */
  static FSDataInputStream open(FileSystem fs, Path path, String policy) throws Exception {
    return fs.openFile(path).opt("fs.option.openfile.read.policy", policy).build().get();
  }
}
