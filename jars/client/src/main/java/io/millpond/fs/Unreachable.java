package io.millpond.fs;

import io.millpond.fs.local.Names;

/**
 * What is refused where the sidecar can't be asked: what only it can know. Without it the store is
 * asked, which knows neither what is pending nor the files of an open batch.
 */
final class Unreachable {
    private static final String REMEDY =
            "Try again when the sidecar runs; 'millpond doctor' says what it lacks";

    private Unreachable() {}

    /** Refuses a path in the staging directory of a batch: to a store it means nothing. */
    static void checkStaged(String path) throws PendingUnreachableException {
        if (Names.isStaged(path)) {
            throw new PendingUnreachableException(
                    path + " belongs to a batch", "the sidecar alone knows its files", REMEDY);
        }
    }

    /** Nobody can say what a path has: its mount holds what the store does not have. */
    static PendingUnreachableException mount(String path, Exception trouble) {
        PendingUnreachableException typed =
                new PendingUnreachableException(
                        "what " + path + " has can't be known without the sidecar",
                        "its mount holds data that the store does not have yet"
                                + (trouble == null ? "" : "; " + trouble.getMessage()),
                        REMEDY);
        typed.initCause(trouble);
        return typed;
    }

    /** A version that was born here, where nothing says what the store calls it, if it has it. */
    static PendingUnreachableException version(FileVersion file) {
        return new PendingUnreachableException(
                file.path() + " can't be read further without the sidecar",
                "the store may not have this version yet",
                REMEDY);
    }
}
