package io.millpond.fs;

import io.millpond.fs.local.MountList;
import io.millpond.fs.local.MountTable;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;

/** The client's settings, as the engine's Hadoop configuration gives them. */
public final class ClientConf {
    /** The cache directory; default: MILLPOND_DIR, /var/lib/millpond, ~/.cache/millpond. */
    public static final String DIR = "fs.cache.dir";

    /**
     * The mounts, {@code /path=store-URI,…}, for nodes that have no cache directory: there each
     * read goes to the store. A cache directory's own mounts win. See {@link MountList}.
     */
    public static final String MOUNTS = "fs.cache.mounts";

    /**
     * {@code host:port} of another node's sidecar (its settings remote_host and remote_port), read
     * over HTTP on nodes that have no cache directory; with it goes its token.
     */
    public static final String SIDECAR = "fs.cache.sidecar";

    /** What the file {@code token} in that sidecar's cache directory holds; may be a credential. */
    public static final String SIDECAR_TOKEN = "fs.cache.sidecar.token";

    /** A copy of that file, in place of the token itself. */
    public static final String SIDECAR_TOKEN_FILE = "fs.cache.sidecar.token.file";

    /**
     * When a file that is closed is written: {@code through}, {@code async}, {@code cache} or
     * {@code around}, as the mount's option {@code write} has them; default: as the mount says.
     * Also an option of {@code createFile}.
     */
    public static final String WRITE_TYPE = "fs.cache.write.type";

    /**
     * The file with this engine's writer secret, as {@code millpond writer-secret} prints it; needed
     * where there are no Unix sockets. Default: the cache directory's {@code writer.secret}, which
     * the sidecar's own user can read.
     */
    public static final String SECRET_FILE = "fs.cache.secret.file";

    /**
     * Without a byte for this long, a call is given up and its read goes to the store. Default: 400;
     * for another node's sidecar 2000.
     */
    public static final String SILENCE_MS = "fs.cache.silence.ms";

    /** How often a sidecar that was given up is probed. */
    public static final String PROBE_MS = "fs.cache.probe.ms";

    /** Most bytes a sequential stream asks for ahead in one call. */
    public static final String WINDOW_BYTES = "fs.cache.window.bytes";

    /** Whether the direct connector is made at first use; false: when it is first needed. */
    public static final String PREPARE = "fs.cache.fallback.prepare";

    /** Whether the file systems that stand in front of stores read through the cache. */
    public static final String TRANSPARENT = "fs.cache.transparent";

    /** Globs of the store URIs that are read through the cache; default: all below mounts. */
    public static final String INCLUDE = "fs.cache.transparent.include";

    /** Globs of store URIs that are read from the store; these win. */
    public static final String EXCLUDE = "fs.cache.transparent.exclude";

    /** The endpoint by which the mounts know the S3 store that the engine may call otherwise. */
    public static final String ENDPOINT = "fs.cache.transparent.endpoint";

    /** With a scheme appended: the class behind {@link TransparentFileSystem}. */
    public static final String DELEGATE = "fs.cache.delegate.";

    /** With a scheme appended: the class behind {@link TransparentFs}; those of Hadoop are known. */
    public static final String ABSTRACT_DELEGATE = "fs.cache.delegate.abstract.";

    static final int SILENCE_MS_DEFAULT = 400;
    static final int REMOTE_SILENCE_MS_DEFAULT = 2000;
    static final int PROBE_MS_DEFAULT = 5000;
    static final long WINDOW_BYTES_DEFAULT = 32L << 20;
    static final int INLINE_BYTES = 1 << 20;
    private static final List<String> WRITE_TYPES = List.of("through", "async", "cache", "around");
    private static final int SILENCE_MS_MAX = 10_000;
    private static final long WINDOW_BYTES_MIN = 1L << 20;
    private static final long WINDOW_BYTES_MAX = 64L << 20;

    private final List<Path> directories;
    private final String sidecar;
    private final String sidecarToken;
    private final int silenceMs;
    private final int remoteSilenceMs;
    private final int probeMs;
    private final long windowBytes;
    private final boolean prepare;
    private final MountTable mounts;
    private final String writeType;
    private final Path secretFile;

    private ClientConf(Configuration conf, Map<String, String> environment, Path home)
            throws InvalidSettingException {
        directories = directories(conf.getTrimmed(DIR, ""), environment, home);
        sidecar = address(conf.getTrimmed(SIDECAR, ""));
        sidecarToken = sidecar.isEmpty() ? "" : token(conf);
        silenceMs = (int) number(conf, SILENCE_MS, SILENCE_MS_DEFAULT, 1, SILENCE_MS_MAX);
        remoteSilenceMs =
                (int) number(conf, SILENCE_MS, REMOTE_SILENCE_MS_DEFAULT, 1, SILENCE_MS_MAX);
        probeMs = (int) number(conf, PROBE_MS, PROBE_MS_DEFAULT, 1, Integer.MAX_VALUE);
        windowBytes =
                number(
                        conf,
                        WINDOW_BYTES,
                        WINDOW_BYTES_DEFAULT,
                        WINDOW_BYTES_MIN,
                        WINDOW_BYTES_MAX);
        prepare = conf.getBoolean(PREPARE, true);
        mounts = MountList.parse(MOUNTS, conf.getTrimmed(MOUNTS, ""));
        writeType = writeType(conf.getTrimmed(WRITE_TYPE, ""));
        String secret = conf.getTrimmed(SECRET_FILE, "");
        secretFile = secret.isEmpty() ? null : secretFile(secret);
    }

    /** Reads the settings; InvalidSetting names the key and what is allowed. */
    public static ClientConf of(Configuration conf) throws InvalidSettingException {
        Path home = Paths.get(System.getProperty("user.home", "/"));
        return new ClientConf(conf, System.getenv(), home);
    }

    static ClientConf of(Configuration conf, Map<String, String> environment, Path home)
            throws InvalidSettingException {
        return new ClientConf(conf, environment, home);
    }

    /** Where the cache directory may be, best first; the only one where it is named. */
    List<Path> directories() {
        return directories;
    }

    /** The first candidate that is a directory, else the first of all. */
    Path directory() {
        return directory(directories);
    }

    static Path directory(List<Path> candidates) {
        for (Path each : candidates) {
            if (Files.isDirectory(each)) {
                return each;
            }
        }
        return candidates.get(0);
    }

    /** The mounts that the configuration names; null where it names none. */
    MountTable mounts() {
        return mounts;
    }

    /** Another node's sidecar as {@code host:port}; empty where none is named. */
    String sidecar() {
        return sidecar;
    }

    String sidecarToken() {
        return sidecarToken;
    }

    int silenceMs() {
        return silenceMs;
    }

    int remoteSilenceMs() {
        return remoteSilenceMs;
    }

    int probeMs() {
        return probeMs;
    }

    long windowBytes() {
        return windowBytes;
    }

    /** How files are written; empty: as their mount says. */
    String writeType() {
        return writeType;
    }

    /** The file of the writer secret; null: that in the cache directory. */
    Path secretFile() {
        return secretFile;
    }

    boolean prepare() {
        return prepare;
    }

    private static List<Path> directories(String named, Map<String, String> env, Path home) {
        String first = named.isEmpty() ? env.getOrDefault("MILLPOND_DIR", "") : named;
        List<Path> all = new ArrayList<>();
        if (!first.isEmpty()) {
            all.add(Paths.get(first.startsWith("~/") ? home + first.substring(1) : first));
        } else {
            all.add(Paths.get("/var/lib/millpond"));
            all.add(home.resolve(".cache/millpond"));
        }
        return all;
    }

    /** A write type as a setting or an option names it; empty stands for the mount's. */
    static String writeType(String text) throws InvalidSettingException {
        if (text.isEmpty() || WRITE_TYPES.contains(text)) {
            return text;
        }
        throw new InvalidSettingException(
                WRITE_TYPE + " is '" + text + "'",
                "allowed: " + String.join(", ", WRITE_TYPES),
                "Correct or leave out the setting");
    }

    private static Path secretFile(String text) throws InvalidSettingException {
        Path file = Paths.get(text);
        if (!Files.isReadable(file)) {
            throw new InvalidSettingException(
                    "setting " + SECRET_FILE + " is '" + text + "'",
                    "this process can't read such a file",
                    "Write what 'millpond writer-secret NAME' prints there, readable by this user");
        }
        return file;
    }

    private static String address(String text) throws InvalidSettingException {
        int colon = text.lastIndexOf(':');
        boolean good = colon > 0 && text.substring(colon + 1).matches("[1-9][0-9]{0,4}");
        if (text.isEmpty() || good && text.matches("[A-Za-z0-9._:\\[\\]-]+")) {
            return text;
        }
        throw new InvalidSettingException(
                "setting " + SIDECAR + " is '" + text + "'",
                "it is no host:port",
                "Write it as node-1:8898");
    }

    private static String token(Configuration conf) throws InvalidSettingException {
        String why = "none is named";
        try {
            char[] given = conf.getPassword(SIDECAR_TOKEN);
            String file = conf.getTrimmed(SIDECAR_TOKEN_FILE, "");
            String token =
                    given != null
                            ? new String(given).trim()
                            : file.isEmpty()
                                    ? ""
                                    : Files.readString(
                                            Paths.get(file), StandardCharsets.US_ASCII).trim();
            if (token.matches("[\\x21-\\x7e]+")) {
                return token;
            }
            why = token.isEmpty() ? why : "that is none";
        } catch (IOException e) {
            why = e.toString();
        }
        throw new InvalidSettingException(
                SIDECAR + " needs a token",
                why,
                "Set "
                        + SIDECAR_TOKEN
                        + " or "
                        + SIDECAR_TOKEN_FILE
                        + "; it is the file 'token' in that sidecar's cache directory");
    }

    private static long number(Configuration conf, String key, long usual, long min, long max)
            throws InvalidSettingException {
        String text = conf.getTrimmed(key, "");
        try {
            long value = text.isEmpty() ? usual : conf.getLongBytes(key, usual);
            if (value >= min && value <= max) {
                return value;
            }
        } catch (IllegalArgumentException e) {
            // Told below, together with values out of range.
        }
        throw new InvalidSettingException(
                "setting " + key + " is '" + text + "'",
                "allowed: a number from " + min + " to " + max,
                "Correct or leave out the setting");
    }
}
