package io.millpond.spark;

import io.millpond.fs.Batch;
import io.millpond.fs.InvalidSettingException;
import java.net.InetAddress;
import java.net.NetworkInterface;
import java.net.SocketException;
import java.net.UnknownHostException;
import java.util.Arrays;
import java.util.List;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.SparkConf;
import org.apache.spark.SparkContext;
import org.apache.spark.SparkEnv;
import org.apache.spark.SparkExecutorInfo;

/**
 * Which jobs are committed as batches, by settings and by where they run. A batch lives in one
 * node's sidecar, so its tasks have to run on that node.
 */
final class CommitRules {
    /** {@code auto}: where all executors run on the driver's node; {@code always}; {@code never}. */
    static final String COMMIT = "spark.millpond.commit";

    /** The protocol for all else. */
    static final String DELEGATE = "spark.millpond.commit.delegate";

    private static final String SPARKS_OWN =
            "org.apache.spark.sql.execution.datasources.SQLHadoopMapReduceCommitProtocol";
    private static final List<String> MODES = List.of("auto", "always", "never");

    /** Hive's own loads rename what lies there. */
    private static final String HIVE_STAGING = ".hive-staging";

    private final SparkConf conf;

    CommitRules() {
        conf = SparkEnv.get().conf();
    }

    String delegate() {
        return conf.get(DELEGATE, SPARKS_OWN);
    }

    /** Whether a batch is to be had for this target at all. */
    boolean covers(FileSystem system, Path target) throws InvalidSettingException {
        return Batch.of(system) && !mode().equals("never") && !ofHive(target);
    }

    /** Null where the job's tasks can be expected to run on this node; else why not. */
    String whyNot() throws InvalidSettingException {
        if (mode().equals("always") || SparkContext.getOrCreate().isLocal()) {
            return null;
        }
        SparkExecutorInfo[] all = SparkContext.getOrCreate().statusTracker().getExecutorInfos();
        String[] others =
                Arrays.stream(all)
                        .map(SparkExecutorInfo::host)
                        .filter(host -> !here(host))
                        .distinct()
                        .toArray(String[]::new);
        if (others.length > 0) {
            return "executors run on other nodes: " + String.join(", ", others);
        }
        return all.length > 1 ? null : "no executor is known yet";
    }

    private String mode() throws InvalidSettingException {
        String mode = conf.get(COMMIT, "auto").trim();
        if (!MODES.contains(mode)) {
            throw new InvalidSettingException(
                    "setting " + COMMIT + " is '" + mode + "'",
                    "allowed: " + String.join(", ", MODES),
                    "Leave it out for auto");
        }
        return mode;
    }

    private static boolean ofHive(Path target) {
        for (Path at = target; at != null; at = at.getParent()) {
            if (at.getName().startsWith(HIVE_STAGING)) {
                return true;
            }
        }
        return false;
    }

    private static boolean here(String host) {
        try {
            InetAddress address = InetAddress.getByName(host);
            return address.isLoopbackAddress()
                    || NetworkInterface.getByInetAddress(address) != null;
        } catch (UnknownHostException | SocketException e) {
            return false;
        }
    }
}
