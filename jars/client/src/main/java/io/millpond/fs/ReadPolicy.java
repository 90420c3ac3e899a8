package io.millpond.fs;

import io.millpond.fs.wire.Wire;
import java.util.Locale;

/** How a stream will be read, as far as its opener said. */
enum ReadPolicy {
    /** Nothing said: sequential until it seeks. */
    ADAPTIVE(Wire.Intent.UNKNOWN),
    SEQUENTIAL(Wire.Intent.SEQUENTIAL),
    /** Positions jump: only what is asked for, until a long run shows otherwise. */
    RANDOM(Wire.Intent.RANDOM),
    WHOLE_FILE(Wire.Intent.WHOLE_FILE);

    private final Wire.Intent intent;

    ReadPolicy(Wire.Intent intent) {
        this.intent = intent;
    }

    Wire.Intent intent() {
        return intent;
    }

    /**
     * The first policy of a comma-separated list (as {@code fs.option.openfile.read.policy} has it)
     * that is known; ADAPTIVE where none is.
     */
    static ReadPolicy parse(String names) {
        for (String name : names.split(",")) {
            switch (name.trim().toLowerCase(Locale.ROOT)) {
                case "sequential":
                case "avro":
                case "csv":
                case "json":
                    return SEQUENTIAL;
                case "random":
                case "vector":
                case "vectored":
                case "parquet":
                case "orc":
                case "columnar":
                case "hbase":
                    return RANDOM;
                case "whole-file":
                    return WHOLE_FILE;
                case "adaptive":
                case "default":
                case "normal":
                    return ADAPTIVE;
                default:
                    // A policy of a later Hadoop: the next in the list is for us.
            }
        }
        return ADAPTIVE;
    }
}
