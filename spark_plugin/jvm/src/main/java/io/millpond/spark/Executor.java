package io.millpond.spark;

import java.util.Map;
import java.util.concurrent.ScheduledExecutorService;
import org.apache.spark.api.plugin.ExecutorPlugin;
import org.apache.spark.api.plugin.PluginContext;

/**
 * The part in each executor: registers its counters, and tells them to the driver when they moved.
 *
 * <p>It never asks for {@code PluginContext.hostname()}, which throws while executors start.
 */
final class Executor implements ExecutorPlugin {
    /** The executor id of a driver that runs its own tasks: local mode. */
    private static final String DRIVER = "driver";

    private static final long EVERY_MS = 2000;

    private final Safely safely = new Safely();
    private Map<String, Long> told = Map.of();
    private ScheduledExecutorService timer;
    private PluginContext context;
    private String id = "";

    @Override
    public void init(PluginContext context, Map<String, String> extraConf) {
        safely.run("metrics of this executor", () -> start(context));
    }

    private void start(PluginContext context) {
        id = context.executorID();
        if (id.equals(DRIVER)) {
            return; // the same process, whose counters the driver's part has registered
        }
        Counted.register(context.metricRegistry());
        this.context = context;
        timer = Daemons.every(EVERY_MS, "millpond-metrics", this::tell);
    }

    @Override
    public void shutdown() {
        if (timer != null) {
            timer.shutdownNow();
            tell();
        }
    }

    private synchronized void tell() {
        safely.run(
                "telling the driver what this executor read",
                () -> {
                    Map<String, Long> now = Counted.now();
                    if (!now.equals(told)) {
                        context.send(Message.of(id, now));
                        told = now;
                    }
                });
    }
}
