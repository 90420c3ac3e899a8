package io.millpond.spark;

import io.millpond.fs.ClientConf;
import io.millpond.fs.InvalidSettingException;
import io.millpond.fs.SidecarUnavailableException;
import io.millpond.fs.local.Mount;
import io.millpond.fs.local.MountList;
import io.millpond.fs.local.MountTable;
import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.apache.hadoop.conf.Configuration;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The sidecar of a session in local mode. One that serves the cache directory already is shared;
 * else one is started, which ends with this driver. When a shared one goes, because the driver
 * that had started it ended, this driver starts its own.
 */
final class Embedded {
    private static final Logger LOG = LoggerFactory.getLogger(MillpondPlugin.class);
    private static final long START_NS = TimeUnit.SECONDS.toNanos(60);
    private static final long MOUNT_S = 60;
    private static final long POLL_MS = 50;
    private static final long HELD_MS = 500;
    private static final long WATCH_MS = 1000;
    private static final int MAX_DOUBLINGS = 5;

    /** What a second sidecar of one directory says when it ends. */
    private static final String HELD = "is held by another sidecar";

    private final PluginConf conf;
    private final Configuration hadoop;
    private final Path directory;
    private final Health health;
    private ScheduledExecutorService watch;
    private volatile SidecarProcess process;
    private int failures;
    private long retryAtNs = System.nanoTime();
    private volatile boolean stopping;
    private volatile String state = "starting";

    Embedded(PluginConf conf, Configuration hadoop) {
        this.conf = conf;
        this.hadoop = hadoop;
        this.directory = directory(hadoop);
        this.health = new Health(directory);
    }

    /** One line for people: whether it runs, where, or why not. */
    String state() {
        return state;
    }

    /** Returns when a sidecar answers that has the mounts asked for. */
    void start() throws IOException, InterruptedException {
        try {
            MountTable wanted = MountList.parse(PluginConf.MOUNTS, conf.mounts());
            hadoop.set(ClientConf.DIR, directory.toString());
            if (wanted != null && hadoop.get(ClientConf.MOUNTS) == null) {
                hadoop.set(ClientConf.MOUNTS, conf.mounts()); // for reads without a sidecar
            }
            ensure();
            watch = Daemons.every(WATCH_MS, "millpond-embedded", this::look);
            if (wanted != null) {
                for (Mount mount : wanted.mounts()) {
                    ensure(mount);
                }
            }
        } catch (IOException e) {
            state = "failed: " + e.getMessage();
            throw e;
        }
    }

    /** Ends the sidecar where it is ours. */
    void stop() throws IOException, InterruptedException {
        stopping = true;
        if (watch != null) {
            watch.shutdownNow();
        }
        synchronized (this) {
            state = "stopped";
            if (process != null) {
                process.stop();
            }
        }
    }

    private synchronized void ensure() throws IOException, InterruptedException {
        long until = System.nanoTime() + START_NS;
        while (!stopping) {
            boolean ours = process != null && process.alive();
            if (health.answers()) {
                state = (ours ? "running, pid " + process.pid() : "shared") + ", on " + directory;
                LOG.info("sidecar: {}", state);
                return;
            }
            if (process == null) {
                process = new SidecarProcess(command());
            } else if (!ours) {
                String said = process.said();
                process = null;
                if (!said.contains(HELD)) {
                    throw failed("it ended: " + said);
                }
                Thread.sleep(HELD_MS); // the other one is about to answer, or about to end
            } else {
                Thread.sleep(POLL_MS);
            }
            if (System.nanoTime() > until) {
                giveUp();
            }
        }
    }

    private void giveUp() throws IOException, InterruptedException {
        SidecarProcess late = process;
        process = null;
        if (late == null) {
            throw failed("a process holds the directory but does not answer");
        }
        late.stop();
        throw failed("it did not answer in time: " + late.said());
    }

    private List<String> command() throws InvalidSettingException {
        List<String> command = new ArrayList<>(List.of(conf.command(), "serve", "--with-parent"));
        command.addAll(List.of("--cache-dir", directory.toString()));
        if (System.getenv("MILLPOND_HTTP_PORT") == null) {
            command.addAll(List.of("--http-port", "0")); // the usual one may be another sidecar's
        }
        return command;
    }

    private SidecarUnavailableException failed(String cause) {
        return new SidecarUnavailableException(
                "the embedded sidecar of " + directory + " did not start",
                cause,
                "Correct that and start the session again; until then reads go to the store");
    }

    private void ensure(Mount mount) throws IOException, InterruptedException {
        if (health.mounted(mount)) {
            return;
        }
        List<String> command = new ArrayList<>(List.of(conf.command(), "mount", "add"));
        command.addAll(List.of(mount.path(), mount.storeUri()));
        command.addAll(List.of("--cache-dir", directory.toString()));
        command.addAll(S3Options.of(mount, hadoop));
        Process add =
                new ProcessBuilder(command)
                        .redirectErrorStream(true)
                        .redirectInput(new File("/dev/null"))
                        .start();
        if (!add.waitFor(MOUNT_S, TimeUnit.SECONDS)) {
            add.destroyForcibly().waitFor();
        }
        String said = new String(add.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (add.exitValue() != 0 && !health.mounted(mount)) { // else another driver was faster
            throw new InvalidSettingException(
                    mount + " could not be mounted",
                    said.trim().replace("\n", " / "),
                    "Correct " + PluginConf.MOUNTS);
        }
    }

    /** Starts a sidecar where none answers any more; after a failure ever more seldom. */
    private void look() {
        boolean ours = process != null && process.alive();
        if (stopping || ours || System.nanoTime() - retryAtNs < 0 || health.answers()) {
            return;
        }
        try {
            ensure();
            failures = 0;
        } catch (IOException | RuntimeException e) {
            failures++;
            long wait = 1L << Math.min(failures, MAX_DOUBLINGS);
            retryAtNs = System.nanoTime() + TimeUnit.SECONDS.toNanos(wait);
            state = "failed: " + e.getMessage();
            if (failures == 1) {
                LOG.error("Reading without a sidecar: {}", e.getMessage());
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** The one place where a sidecar of this user would look by itself. */
    private static Path directory(Configuration hadoop) {
        String named = hadoop.getTrimmed(ClientConf.DIR, "");
        if (named.isEmpty()) {
            named = System.getenv().getOrDefault("MILLPOND_DIR", "");
        }
        Path home = Paths.get(System.getProperty("user.home", "/"));
        if (!named.isEmpty()) {
            return named.startsWith("~/") ? home.resolve(named.substring(2)) : Paths.get(named);
        }
        Path system = Paths.get("/var/lib/millpond");
        boolean root = System.getProperty("user.name", "").equals("root");
        return root || Files.isDirectory(system) ? system : home.resolve(".cache/millpond");
    }
}
