package io.millpond.bench;

import com.sun.management.OperatingSystemMXBean;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** Runs the workers of one measure together, and says what it took. */
final class Sample {
  private static final OperatingSystemMXBean OS =
      (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();

  private final List<? extends Worker> workers;
  private volatile long startNs;
  private volatile long startCpuNs;

  private Sample(List<? extends Worker> workers) {
    this.workers = workers;
  }

  static Map<String, Object> of(List<? extends Worker> workers) throws Exception {
    return new Sample(workers).run();
  }

  private Map<String, Object> run() throws Exception {
    CyclicBarrier barrier =
        new CyclicBarrier(
            workers.size(),
            () -> {
              startCpuNs = OS.getProcessCpuTime();
              startNs = System.nanoTime();
            });
    ExecutorService pool = Executors.newFixedThreadPool(workers.size());
    try {
      // All of them before any is timed: a worker that can't start must not leave others waiting.
      for (Worker worker : workers) {
        worker.prepare();
      }
      List<Future<Long>> ends = new ArrayList<>();
      for (Worker worker : workers) {
        ends.add(pool.submit(() -> runOne(worker, barrier)));
      }
      long endNs = 0;
      for (Future<Long> end : ends) {
        endNs = Math.max(endNs, end.get());
      }
      return summary(endNs - startNs, OS.getProcessCpuTime() - startCpuNs);
    } catch (ExecutionException e) {
      throw e.getCause() instanceof Exception ? (Exception) e.getCause() : e;
    } finally {
      pool.shutdownNow();
      for (Worker worker : workers) {
        worker.close();
      }
    }
  }

  private static long runOne(Worker worker, CyclicBarrier barrier) throws Exception {
    barrier.await();
    worker.work();
    return System.nanoTime();
  }

  private Map<String, Object> summary(long elapsedNs, long cpuNs) {
    Map<String, Object> out = new LinkedHashMap<>();
    out.put("elapsed_ns", elapsedNs);
    out.put("cpu_ns", cpuNs);
    out.put("ops", workers.stream().mapToLong(w -> w.ops).sum());
    out.put("bytes", workers.stream().mapToLong(w -> w.bytes).sum());
    long[] all =
        workers.stream()
            .filter(w -> w.latencies != null)
            .flatMapToLong(w -> Arrays.stream(w.latencies))
            .sorted()
            .toArray();
    if (all.length > 0) {
      out.put("p50_ns", quantile(all, 0.50));
      out.put("p90_ns", quantile(all, 0.90));
      out.put("p99_ns", quantile(all, 0.99));
    }
    return out;
  }

  /** The nearest-rank quantile of a sorted array. */
  private static long quantile(long[] sorted, double q) {
    return sorted[Math.max(0, (int) Math.ceil(q * sorted.length) - 1)];
  }
}
