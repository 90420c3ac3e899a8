package io.millpond.spark;

import org.apache.spark.api.plugin.DriverPlugin;
import org.apache.spark.api.plugin.ExecutorPlugin;
import org.apache.spark.api.plugin.SparkPlugin;

/**
 * The Spark plugin ({@code spark.plugins=io.millpond.spark.MillpondPlugin}): what {@code cache://}
 * reads, in Spark's metrics system, and in local mode a sidecar that the driver starts.
 *
 * <p>No exception leaves it: one out of an executor's plugin ends that executor, and Spark starts
 * the next one, which ends the same way. Classes of the client jar are named in {@link Counted} and
 * {@link Embedded} alone, so that where that jar is missing this one still loads.
 */
public final class MillpondPlugin implements SparkPlugin {
    @Override
    public DriverPlugin driverPlugin() {
        return new Driver();
    }

    @Override
    public ExecutorPlugin executorPlugin() {
        return new Executor();
    }
}
