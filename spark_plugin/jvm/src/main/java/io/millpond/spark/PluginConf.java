package io.millpond.spark;

import io.millpond.fs.InvalidSettingException;
import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.LinkedHashSet;
import java.util.Map;
import java.util.Set;
import org.apache.spark.SparkConf;

/** The plugin's settings, {@code spark.millpond.*}, and where the program {@code millpond} is. */
final class PluginConf {
    /** {@code embedded}: in local mode the driver starts a sidecar, and ends it. */
    static final String SIDECAR = "spark.millpond.sidecar";

    /** The program that serves; default: beside the Python of this session, else on the PATH. */
    static final String COMMAND = "spark.millpond.command";

    /** What the embedded sidecar has to have mounted: {@code /path=store-URI,…}, no secrets. */
    static final String MOUNTS = "spark.millpond.mounts";

    private static final String PROGRAM = "millpond";

    private final SparkConf conf;
    private final Map<String, String> environment;
    private final boolean embedded;

    private PluginConf(SparkConf conf, Map<String, String> environment)
            throws InvalidSettingException {
        this.conf = conf;
        this.environment = environment;
        String sidecar = conf.get(SIDECAR, "").trim();
        embedded = sidecar.equals("embedded");
        if (!embedded && !sidecar.isEmpty()) {
            throw new InvalidSettingException(
                    "setting " + SIDECAR + " is '" + sidecar + "'",
                    "allowed: embedded",
                    "Leave it out where a sidecar runs already");
        }
    }

    static PluginConf of(SparkConf conf) throws InvalidSettingException {
        return new PluginConf(conf, System.getenv());
    }

    boolean embedded() {
        return embedded;
    }

    String mounts() {
        return conf.get(MOUNTS, "").trim();
    }

    /** The program's path. InvalidSetting, naming the places looked at, where there is none. */
    String command() throws InvalidSettingException {
        String named = conf.get(COMMAND, "").trim();
        Set<Path> candidates = new LinkedHashSet<>();
        if (!named.isEmpty()) {
            addProgram(candidates, named);
        } else {
            addBeside(candidates, conf.get("spark.pyspark.driver.python", ""));
            addBeside(candidates, conf.get("spark.pyspark.python", ""));
            addBeside(candidates, environment.getOrDefault("PYSPARK_DRIVER_PYTHON", ""));
            addBeside(candidates, environment.getOrDefault("PYSPARK_PYTHON", ""));
            addBeside(candidates, environment.getOrDefault("VIRTUAL_ENV", "") + "/bin/python");
            addProgram(candidates, PROGRAM);
        }
        for (Path each : candidates) {
            if (Files.isRegularFile(each) && Files.isExecutable(each)) {
                return each.toString();
            }
        }
        throw new InvalidSettingException(
                "no program '" + (named.isEmpty() ? PROGRAM : named) + "' to start a sidecar with",
                "looked at " + candidates,
                "Install millpond where the driver runs, or set " + COMMAND + " to its path");
    }

    private static void addBeside(Set<Path> candidates, String python) {
        Path path = Paths.get(python);
        if (path.isAbsolute()) {
            candidates.add(path.resolveSibling(PROGRAM));
        }
    }

    /** A path as it stands, a bare name wherever the PATH has it. */
    private void addProgram(Set<Path> candidates, String name) {
        if (name.contains(File.separator)) {
            candidates.add(Paths.get(name));
            return;
        }
        for (String folder : environment.getOrDefault("PATH", "").split(File.pathSeparator)) {
            candidates.add(Paths.get(folder, name));
        }
    }
}
