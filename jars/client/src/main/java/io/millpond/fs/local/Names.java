package io.millpond.fs.local;

import io.millpond.fs.InvalidPathException;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.Locale;
import java.util.regex.Pattern;

/**
 * Names: cache URIs, paths in the namespace, store paths, and what they hash to; the same rules as
 * the sidecar's {@code model/paths.py}. A path is never decoded and never normalised.
 */
public final class Names {
    public static final String SCHEME = "cache";
    static final int MAX_PATH_BYTES = 8192;
    private static final char[] HEX = "0123456789abcdef".toCharArray();
    private static final String RELATIVE = "relative segments are not resolved";
    private static final String FULL_PATH = "Name the file by its full path";

    private static final Pattern STAGED =
            Pattern.compile("(?:^|/)\\.millpond-[0-9a-f]{32}(?:/|\\z)");

    private static final Pattern BORN = Pattern.compile("born:[0-9a-f]{32}");

    private Names() {}

    /** Whether a path lies in the staging directory of a batch, or is one. */
    public static boolean isStaged(String path) {
        return path.contains(".millpond-") && STAGED.matcher(path).find();
    }

    /** The path that {@code cache:///…}, {@code cache://<cluster>/…} or {@code /…} names. */
    public static String parseUri(String uri) throws InvalidPathException {
        int colon = uri.indexOf(':');
        int slash = uri.indexOf('/');
        if (colon < 0 || (slash >= 0 && slash < colon)) {
            return checkPath(uri);
        }
        String scheme = uri.substring(0, colon);
        if (!scheme.toLowerCase(Locale.ROOT).equals(SCHEME)) {
            throw new InvalidPathException(
                    quoted(uri) + " is not a cache:// URI",
                    "its scheme is " + quoted(scheme),
                    "Name a path under a mount, such as cache:///mount/file");
        }
        String rest = uri.substring(colon + 1);
        if (!rest.startsWith("//")) {
            return checkPath(rest);
        }
        int path = rest.indexOf('/', 2);
        String authority = path < 0 ? rest.substring(2) : rest.substring(2, path);
        if (!isCluster(authority)) {
            throw new InvalidPathException(
                    quoted(uri) + " has authority " + quoted(authority),
                    "an authority is empty or a cluster's name, never a host",
                    "Write cache:///path with three slashes");
        }
        return checkPath(path < 0 ? "/" : rest.substring(path));
    }

    private static boolean isCluster(String authority) {
        for (int i = 0; i < authority.length(); i++) {
            char c = authority.charAt(i);
            boolean plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || isDigit(c);
            if (!plain && (i == 0 || (c != '_' && c != '-'))) {
                return false;
            }
        }
        return true;
    }

    private static boolean isDigit(char c) {
        return c >= '0' && c <= '9';
    }

    /**
     * {@code path} without a trailing slash. Refused: relative paths, NUL, lone surrogates, more
     * than 8192 bytes, and segments that are {@code .} or {@code ..}, plain or percent-encoded.
     */
    public static String checkPath(String path) throws InvalidPathException {
        int length = path.length();
        if (length == 0 || path.charAt(0) != '/') {
            throw new InvalidPathException(
                    quoted(path) + " is not absolute", "", "Start the path with '/'");
        }
        int bytes = 0;
        boolean suspicious = false;
        for (int i = 0; i < length; i++) {
            char c = path.charAt(i);
            if (c < 0x80) {
                bytes++;
                suspicious |= c == '.' || c == '%';
                if (c == 0) {
                    throw new InvalidPathException(
                            quoted(path) + " contains NUL", "", "Remove the NUL character");
                }
            } else if (c < 0x800) {
                bytes += 2;
            } else if (!Character.isSurrogate(c)) {
                bytes += 3;
            } else if (Character.isHighSurrogate(c)
                    && i + 1 < length
                    && Character.isLowSurrogate(path.charAt(i + 1))) {
                bytes += 4;
                i++;
            } else {
                throw new InvalidPathException(
                        quoted(path) + " is not valid Unicode", "a lone surrogate", "");
            }
        }
        if (bytes > MAX_PATH_BYTES) {
            throw new InvalidPathException(
                    "a path of " + bytes + " bytes is too long", "limit " + MAX_PATH_BYTES, "");
        }
        if (suspicious) {
            checkSegments(path);
        }
        return length > 1 && path.charAt(length - 1) == '/' ? path.substring(0, length - 1) : path;
    }

    private static void checkSegments(String path) throws InvalidPathException {
        for (int from = 1; from <= path.length(); ) {
            int slash = path.indexOf('/', from);
            int to = slash < 0 ? path.length() : slash;
            if (isRelative(path, from, to)) {
                throw new InvalidPathException(
                        quoted(path) + " has a segment " + quoted(path.substring(from, to)),
                        RELATIVE,
                        FULL_PATH);
            }
            from = to + 1;
        }
    }

    /** Whether the segment is one or two dots, each plain or as {@code %2e}. */
    private static boolean isRelative(String path, int from, int to) {
        int at = from;
        int dots = 0;
        while (at < to && dots < 3) {
            if (path.charAt(at) == '.') {
                at++;
            } else if (path.regionMatches(true, at, "%2e", 0, 3) && at + 3 <= to) {
                at += 3;
            } else {
                return false;
            }
            dots++;
        }
        return at == to && (dots == 1 || dots == 2);
    }

    /** The directory that holds {@code path}; the root holds itself. */
    public static String parent(String path) {
        int slash = path.lastIndexOf('/');
        return slash <= 0 ? "/" : path.substring(0, slash);
    }

    /** {@code <store id>/<bucket or name service>/<raw key>}. */
    public static String storePath(String storeId, String root, String key) {
        return storeId + '/' + root + '/' + key;
    }

    /**
     * The store path under which the stamp of the directory around a store path is filed; null
     * where no directory has such a name (keys with empty segments are validated alone).
     */
    public static String directory(String storePath) {
        int root = storePath.indexOf('/', storePath.indexOf('/') + 1);
        int last = storePath.lastIndexOf('/');
        if (last == root) {
            return storePath.substring(0, last + 1);
        }
        return storePath.charAt(last - 1) == '/' ? null : storePath.substring(0, last);
    }

    /** SHA-256 of a store path: 32 bytes. Names meta and dirs files and picks the epoch slot. */
    public static byte[] pathHash(String storePath) {
        return sha256().digest(storePath.getBytes(StandardCharsets.UTF_8));
    }

    static int epochSlot(byte[] digest) {
        return ((digest[0] & 0xff) << 8 | (digest[1] & 0xff)) % Layout.EPOCH_SLOTS;
    }

    /** The id of one version of a file: wherever it lies, if it was born here. */
    static FileId fileId(String storePath, String version) {
        if (BORN.matcher(version).matches()) {
            String digits = version.substring(version.indexOf(':') + 1);
            return FileId.of(
                    Arrays.copyOfRange(new BigInteger("1" + digits, 16).toByteArray(), 1, 17));
        }
        byte[] path = storePath.getBytes(StandardCharsets.UTF_8);
        MessageDigest sha = sha256();
        sha.update(
                ByteBuffer.allocate(4).order(ByteOrder.LITTLE_ENDIAN).putInt(0, path.length));
        sha.update(path);
        return FileId.of(Arrays.copyOf(sha.digest(version.getBytes(StandardCharsets.UTF_8)), 16));
    }

    /** Path of a meta file below the cache dir. */
    static String metaName(byte[] digest) {
        return name("meta", hex(digest));
    }

    /** Path of a directory stamp below the cache dir. */
    static String dirName(byte[] digest) {
        return name("dirs", hex(digest));
    }

    /** Path of a block file below its disk's dir. */
    static String blockName(FileId id, int block) {
        return name("blocks", id.toString()) + '/' + block;
    }

    private static String name(String room, String hex) {
        return room + '/' + hex.substring(0, 2) + '/' + hex;
    }

    static String hex(byte[] bytes) {
        char[] text = new char[2 * bytes.length];
        for (int i = 0; i < bytes.length; i++) {
            text[2 * i] = HEX[bytes[i] >> 4 & 15];
            text[2 * i + 1] = HEX[bytes[i] & 15];
        }
        return new String(text);
    }

    private static String quoted(String text) {
        return '\'' + text.replace("\0", "\\0") + '\'';
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }
}
