package io.millpond.fs;

/** What all errors of Millpond have in common, whatever JDK class they must extend. */
public interface Fault {
    ErrorCode error();

    /** Whether the same call may succeed later without any change by the user. */
    default boolean retriable() {
        return error().retriable();
    }

    /** Problem, cause and remedy in one line; the last two may be empty. */
    static String line(String problem, String cause, String remedy) {
        StringBuilder text = new StringBuilder(problem);
        if (!cause.isEmpty()) {
            text.append(": ").append(cause);
        }
        if (!remedy.isEmpty()) {
            text.append(text.charAt(text.length() - 1) == '.' ? " " : ". ").append(remedy);
        }
        return text.toString();
    }
}
