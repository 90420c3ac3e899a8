package io.millpond.fs.local;

/** What the local reader has to tell; called on reading threads: it must be quick, never throw. */
public interface LocalEvents {
    /** A page whose bytes fail their checksum: the sidecar should look at it. */
    default void badPage(FileId file, int block, int page, long generation) {}

    /** Something local failed and was treated as absent. {@code error} may be null. */
    default void trouble(Trouble reason, Throwable error) {}

    /** Why something that may be there was treated as absent. */
    enum Trouble {
        /** A file would not open: out of descriptors, most of the time. */
        OPEN_FAILED,
        /** This user may not read the cache directory. */
        PERMISSION,
        /** The disk failed a read. */
        READ_FAILED,
        /** A header, meta, stamp, lease or mount table fails its checksum. */
        CORRUPT,
        /** Written by another release. */
        UNKNOWN_FORMAT,
        /** Interrupts of other threads closed the file again and again. */
        INTERRUPTS
    }
}
