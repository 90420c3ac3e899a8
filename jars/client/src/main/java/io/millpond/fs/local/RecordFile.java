package io.millpond.fs.local;

import io.millpond.fs.CorruptException;
import io.millpond.fs.UnknownFormatException;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.nio.file.Files;
import java.util.Arrays;

/** Reads a small file whole. By FileInputStream: unlike a channel, it is deaf to interrupts. */
final class RecordFile {
    private static final int FIRST_READ_BYTES = 8192;

    private RecordFile() {}

    /** Makes a value of a file's bytes. */
    interface Parser<T> {
        T parse(byte[] data) throws IOException;
    }

    /** What came of it: a value, or nothing there, or something that could not be read. */
    static final class Outcome<T> {
        final T value;
        final boolean absent;

        private Outcome(T value, boolean absent) {
            this.value = value;
            this.absent = absent;
        }
    }

    /** Reads and parses; what fails is told to {@code events} and has no value. */
    static <T> Outcome<T> read(File file, Parser<T> parser, LocalEvents events) {
        LocalEvents.Trouble trouble;
        Exception error;
        try {
            return new Outcome<>(parser.parse(bytes(file)), false);
        } catch (FileNotFoundException e) {
            if (!Files.exists(file.toPath())) {
                return new Outcome<>(null, true);
            }
            boolean allowed = Files.isReadable(file.toPath());
            trouble = allowed ? LocalEvents.Trouble.OPEN_FAILED : LocalEvents.Trouble.PERMISSION;
            error = e;
        } catch (CorruptException e) {
            trouble = LocalEvents.Trouble.CORRUPT;
            error = e;
        } catch (UnknownFormatException e) {
            trouble = LocalEvents.Trouble.UNKNOWN_FORMAT;
            error = e;
        } catch (IOException e) {
            trouble = LocalEvents.Trouble.READ_FAILED;
            error = e;
        }
        events.trouble(trouble, error);
        return new Outcome<>(null, false);
    }

    private static byte[] bytes(File file) throws IOException {
        try (FileInputStream in = new FileInputStream(file)) {
            byte[] data = new byte[FIRST_READ_BYTES];
            int have = 0;
            while (true) {
                int count = in.read(data, have, data.length - have);
                if (count <= 0) {
                    return Arrays.copyOf(data, have);
                }
                have += count;
                if (have == data.length) {
                    if (have > Layout.MAX_RECORD_BYTES) {
                        throw Record.corrupt(file + " is too long", "");
                    }
                    data = Arrays.copyOf(data, 4 * have);
                }
            }
        }
    }
}
