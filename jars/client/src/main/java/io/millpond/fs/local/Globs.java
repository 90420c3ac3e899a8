package io.millpond.fs.local;

import java.util.List;
import java.util.regex.Pattern;

/**
 * Globs over the paths below a mount, or over URIs: {@code **} is any text, {@code *} any text without a slash,
 * {@code ?} one character but a slash; all else is itself. A leading {@code **}{@code /} also
 * matches nothing.
 */
public final class Globs {
    private final Pattern pattern;

    public Globs(List<String> globs) {
        StringBuilder all = new StringBuilder();
        for (String glob : globs) {
            all.append(all.length() == 0 ? "" : "|").append("(?:").append(regex(glob)).append(')');
        }
        pattern = globs.isEmpty() ? null : Pattern.compile(all.toString(), Pattern.DOTALL);
    }

    public boolean matches(String below) {
        return pattern != null && pattern.matcher(below).matches();
    }

    private static String regex(String glob) {
        StringBuilder out = new StringBuilder();
        int at = 0;
        if (glob.startsWith("**/")) {
            out.append("(?:.*/)?");
            at = 3;
        }
        while (at < glob.length()) {
            int point = glob.codePointAt(at);
            if (glob.startsWith("**", at)) {
                out.append(".*");
                at += 2;
            } else {
                out.append(one(point));
                at += Character.charCount(point);
            }
        }
        return out.toString();
    }

    private static String one(int point) {
        switch (point) {
            case '*':
                return "[^/]*";
            case '?':
                return "[^/]";
            default:
                return Pattern.quote(new String(Character.toChars(point)));
        }
    }
}
