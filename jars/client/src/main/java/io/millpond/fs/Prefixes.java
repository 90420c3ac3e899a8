package io.millpond.fs;

import io.millpond.fs.local.Globs;
import java.util.ArrayList;
import java.util.List;
import org.apache.hadoop.conf.Configuration;

/** Which store URIs are read through the cache, by globs of the engine's configuration. */
final class Prefixes {
    /**
     * Never: what committers have in work, and the files that tables overwrite in place and read to
     * find their newest state.
     */
    private static final List<String> NEVER =
            List.of(
                    "**/_temporary/**",
                    "**/__magic*/**",
                    "**/_delta_log/_last_checkpoint",
                    "**/metadata/version-hint.text");

    private final Globs included;
    private final Globs excluded;

    private Prefixes(List<String> included, List<String> excluded) {
        this.included = new Globs(included.isEmpty() ? List.of("**") : included);
        this.excluded = new Globs(excluded);
    }

    /** Reads the settings; InvalidSetting names the key and the glob that is none. */
    static Prefixes of(Configuration conf) throws InvalidSettingException {
        List<String> excluded = new ArrayList<>(NEVER);
        excluded.addAll(globs(conf, ClientConf.EXCLUDE));
        return new Prefixes(globs(conf, ClientConf.INCLUDE), excluded);
    }

    boolean include(String uri) {
        return included.matches(uri) && !excluded.matches(uri);
    }

    private static List<String> globs(Configuration conf, String key)
            throws InvalidSettingException {
        List<String> globs = new ArrayList<>();
        for (String each : conf.getTrimmed(key, "").split("[,\\s]+")) {
            if (!each.isEmpty()) {
                globs.add(checked(key, each));
            }
        }
        return globs;
    }

    private static String checked(String key, String glob) throws InvalidSettingException {
        int colon = glob.indexOf("://");
        if (!glob.startsWith("**") && colon <= 0) {
            throw bad(key, glob, "it names no scheme");
        }
        for (char each : new char[] {'[', ']', '{', '}'}) {
            if (glob.indexOf(each) >= 0) {
                throw bad(key, glob, "'" + each + "' is no wildcard here");
            }
        }
        return colon <= 0
                ? glob
                : Coverage.canonical(glob.substring(0, colon)) + glob.substring(colon);
    }

    private static InvalidSettingException bad(String key, String glob, String cause) {
        return new InvalidSettingException(
                "setting " + key + " has '" + glob + "'",
                cause,
                "Write globs of URIs such as s3a://bucket/warehouse/**, separated by commas;"
                        + " wildcards are **, * and ?");
    }
}
