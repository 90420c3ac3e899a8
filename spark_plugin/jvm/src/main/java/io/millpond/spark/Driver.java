package io.millpond.spark;

import com.codahale.metrics.Gauge;
import com.codahale.metrics.SharedMetricRegistries;
import java.util.Map;
import org.apache.spark.SparkContext;
import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.PluginContext;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The part in the driver: its own counters, the sums over executors, and in local mode the embedded
 * sidecar.
 */
final class Driver implements DriverPlugin {
    /** The process's registry of registries is where {@code millpond_spark.status} looks. */
    private static final String NAME = MillpondPlugin.class.getName();

    private static final Logger LOG = LoggerFactory.getLogger(MillpondPlugin.class);

    private final Safely safely = new Safely();
    private final Executors executors = new Executors();
    private volatile String sidecar = "";
    private Embedded embedded;

    @Override
    public Map<String, String> init(SparkContext spark, PluginContext context) {
        Throwable why = safely.run("its embedded sidecar", () -> embed(spark));
        if (why != null) {
            sidecar = "failed: " + why;
        }
        return Map.of();
    }

    private void embed(SparkContext spark) throws Exception {
        PluginConf conf = PluginConf.of(spark.conf());
        if (!conf.embedded()) {
            return;
        }
        if (!spark.isLocal()) {
            sidecar = "not started: " + PluginConf.SIDECAR + "=embedded is for local mode";
            LOG.warn(
                    "{}; this session runs on {}. Start 'millpond serve' on each of its nodes",
                    sidecar,
                    spark.master());
            return;
        }
        embedded = new Embedded(conf, spark.hadoopConfiguration());
        embedded.start();
    }

    @Override
    public void registerMetrics(String appId, PluginContext context) {
        SharedMetricRegistries.remove(NAME); // of a session that ended in disorder
        SharedMetricRegistries.add(NAME, context.metricRegistry());
        safely.run(
                "metrics of the driver",
                () -> {
                    Counted.register(context.metricRegistry());
                    Counted.register(context.metricRegistry(), executors);
                    Gauge<Integer> telling = executors::count;
                    context.metricRegistry().register("executors.telling", telling);
                });
        safely.run(
                "the state of its embedded sidecar",
                () -> {
                    Gauge<String> state = () -> embedded == null ? sidecar : embedded.state();
                    context.metricRegistry().register("sidecar", state);
                });
    }

    @Override
    public Object receive(Object message) {
        safely.run("what executors tell", () -> Message.read(message, executors));
        return null;
    }

    @Override
    public void shutdown() {
        SharedMetricRegistries.remove(NAME);
        if (embedded != null) {
            safely.run("an orderly end of its embedded sidecar", embedded::stop);
        }
    }
}
