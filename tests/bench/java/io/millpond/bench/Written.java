package io.millpond.bench;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.zip.CRC32C;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/** One large file written from end to end. */
final class Written {
  private static final int PATTERNS = 8;

  private Written() {}

  /**
   * Writes {@code length} bytes, {@code size} at once, and closes; {@code hsync} asks for the bytes
   * to be on the disk before. The checksum is of what was to be written.
   */
  static Map<String, Object> one(FileSystem fs, Command command) throws IOException {
    Path path = new Path(command.text("path"));
    long length = command.big("length");
    byte[][] data = new byte[PATTERNS][command.number("size")];
    SplittableRandom random = new SplittableRandom(command.big("seed"));
    for (byte[] each : data) {
      random.nextBytes(each);
    }
    long cpu = cpuNs();
    long began = System.nanoTime();
    long closing;
    try (FSDataOutputStream out = fs.create(path, true)) {
      for (long at = 0; at < length; at += data[0].length) {
        byte[] next = data[(int) (at / data[0].length % PATTERNS)];
        out.write(next, 0, (int) Math.min(next.length, length - at));
      }
      closing = System.nanoTime();
      if (command.number("hsync", 0) != 0) {
        out.hsync();
      }
    }
    long ended = System.nanoTime();
    cpu = cpuNs() - cpu;
    CRC32C crc = new CRC32C();
    for (long at = 0; at < length; at += data[0].length) {
      byte[] next = data[(int) (at / data[0].length % PATTERNS)];
      crc.update(next, 0, (int) Math.min(next.length, length - at));
    }
    return Map.of(
        "elapsed_ns", ended - began,
        "close_ns", ended - closing,
        "cpu_ns", cpu,
        "bytes", length,
        "ops", 1,
        "crc32c", crc.getValue());
  }

  private static long cpuNs() {
    return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
        .getProcessCpuTime();
  }
}
