package io.millpond.spark;

import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/** Timers that keep no JVM alive. */
final class Daemons {
    private Daemons() {}

    /** Runs a task again and again in a thread of its own, until it is shut down. */
    static ScheduledExecutorService every(long periodMs, String name, Runnable task) {
        ScheduledThreadPoolExecutor timer =
                new ScheduledThreadPoolExecutor(
                        1,
                        body -> {
                            Thread thread = new Thread(body, name);
                            thread.setDaemon(true);
                            return thread;
                        });
        timer.scheduleWithFixedDelay(task, periodMs, periodMs, TimeUnit.MILLISECONDS);
        return timer;
    }
}
