package io.millpond.fs;

import io.millpond.fs.local.CacheDir;
import io.millpond.fs.local.Lease;
import io.millpond.fs.wire.Wire;
import java.io.IOException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * The client's one timer: each second tells the sidecar what was read, if anything was, and probes
 * a sidecar that was given up.
 */
final class Reporter {
    private static final long PERIOD_MS = 1000;
    private static final int MAX_BAD_PAGES = 1024;

    private final Client client;
    private final ConcurrentLinkedQueue<Wire.BadPage> badPages = new ConcurrentLinkedQueue<>();
    private final AtomicInteger badCount = new AtomicInteger();
    private Map<String, Long> sent = new HashMap<>();
    private Thread thread;
    private long instance;

    Reporter(Client client) {
        this.client = client;
    }

    synchronized void start() {
        if (thread == null) {
            thread = new Thread(this::run, "millpond-reporter");
            thread.setDaemon(true);
            thread.start();
        }
    }

    /** A page failed its checksum at its first touch. */
    void badPage(Wire.BadPage page) {
        if (badCount.get() < MAX_BAD_PAGES) {
            badCount.incrementAndGet();
            badPages.add(page);
        }
    }

    /**
     * Sends what there is to say; what can't be sent is kept for the next time. {@code await}:
     * until the sidecar has it.
     */
    synchronized void flush(boolean await) {
        Wire.ReportRequest.Builder report = Wire.ReportRequest.newBuilder();
        Map<String, Long> now = client.counters().all();
        now.forEach(
                (name, value) -> {
                    long fresh = value - sent.getOrDefault(name, 0L);
                    if (fresh > 0) {
                        report.putCounters(name, fresh);
                    }
                });
        List<Wire.Touch> touched = client.touched();
        report.addAllTouches(touched);
        report.addAllBadPages(badPages);
        int bad = report.getBadPagesCount();
        if (report.getCountersCount() + touched.size() + bad == 0) {
            return;
        }
        if (client.sidecar().report(report.build(), await)) {
            sent = now;
            for (int i = 0; i < bad; i++) {
                badPages.poll();
            }
            badCount.addAndGet(-bad);
        }
    }

    private void run() {
        try {
            while (true) {
                Thread.sleep(PERIOD_MS);
                tick();
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void tick() {
        try {
            flush(false);
            client.invalidations().retry();
            if (!client.sidecar().usable()) {
                lookForRestart();
            }
            client.sidecar().tick();
        } catch (IOException | RuntimeException e) {
            // Reports may be lost, and the next tick probes again.
        }
    }

    /** A lease by another instance says that a sidecar has started: worth a probe at once. */
    private void lookForRestart() throws IOException {
        CacheDir dir = client.dir();
        Lease lease = dir.lease();
        if (lease != null && lease.instance() != instance && dir.leaseGood()) {
            if (instance != 0) {
                client.sidecar().probeSoon();
            }
            instance = lease.instance();
        }
    }
}
