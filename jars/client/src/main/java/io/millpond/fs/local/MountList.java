package io.millpond.fs.local;

import io.millpond.fs.InvalidPathException;
import io.millpond.fs.InvalidSettingException;
import io.millpond.fs.wire.Wire;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.Locale;
import java.util.Set;

/**
 * The mount table as one setting, for nodes that have no cache directory: {@code
 * /path=store-URI,/path=store-URI}. Separators are commas and white space; what a path or a URI has
 * of these, of {@code =} and of {@code %} itself is written {@code %xx}, by bytes of UTF-8.
 */
public final class MountList {
    private final String setting;
    private final Wire.MountTable.Builder table = Wire.MountTable.newBuilder();
    private final Set<String> paths = new HashSet<>();

    private MountList(String setting) {
        this.setting = setting;
    }

    /** The table that {@code text} says; null where it says none. */
    public static MountTable parse(String setting, String text) throws InvalidSettingException {
        MountList list = new MountList(setting);
        for (String pair : text.split("[,\\s]+")) {
            if (!pair.isEmpty()) {
                list.add(pair);
            }
        }
        return list.paths.isEmpty() ? null : new MountTable(list.table.build());
    }

    private void add(String pair) throws InvalidSettingException {
        int equals = pair.indexOf('=');
        if (equals < 0) {
            throw bad(pair, "it has no '='");
        }
        String path;
        try {
            path = Names.checkPath(decoded(pair, pair.substring(0, equals)));
        } catch (InvalidPathException e) {
            throw bad(pair, e.getMessage());
        }
        if (!paths.add(path)) {
            throw bad(pair, path + " is there twice");
        }
        String uri = decoded(pair, pair.substring(equals + 1));
        int colon = uri.indexOf("://");
        if (colon <= 0) {
            throw bad(pair, "the store's URI has no scheme");
        }
        String scheme = uri.substring(0, colon).toLowerCase(Locale.ROOT);
        if (scheme.equals("s3") || scheme.equals("s3n")) {
            scheme = "s3a";
        }
        String rest = uri.substring(colon + 3);
        int slash = rest.indexOf('/');
        String root = slash < 0 ? rest : rest.substring(0, slash);
        String prefix = slash < 0 ? "" : rest.substring(slash + 1).replaceAll("/+$", "");
        if (root.isEmpty() && !scheme.equals("file")) {
            throw bad(pair, "the store's URI names no bucket");
        }
        boolean bare = prefix.isEmpty() && !scheme.equals("file");
        table.addMounts(
                Wire.Mount.newBuilder()
                        .setPath(path)
                        .setStoreUri(scheme + "://" + root + (bare ? "" : '/' + prefix))
                        .setRoot(root)
                        .setPrefix(prefix));
    }

    private String decoded(String pair, String text) throws InvalidSettingException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        byte[] raw = text.getBytes(StandardCharsets.UTF_8);
        for (int i = 0; i < raw.length; i++) {
            if (raw[i] != '%') {
                bytes.write(raw[i]);
                continue;
            }
            int high = i + 2 < raw.length ? Character.digit(raw[i + 1], 16) : -1;
            int low = i + 2 < raw.length ? Character.digit(raw[i + 2], 16) : -1;
            if (high < 0 || low < 0) {
                throw bad(pair, "a '%' is not followed by two hexadecimal digits");
            }
            bytes.write(high << 4 | low);
            i += 2;
        }
        return new String(bytes.toByteArray(), StandardCharsets.UTF_8);
    }

    private InvalidSettingException bad(String pair, String cause) {
        return new InvalidSettingException(
                "setting " + setting + " has '" + pair + "'",
                cause,
                "Write /path=store-URI,/path=store-URI as 'millpond spark-conf' does");
    }
}
