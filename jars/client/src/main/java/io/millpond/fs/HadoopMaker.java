package io.millpond.fs;

import java.io.IOException;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.LocatedFileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.util.Progressable;

/**
 * Makes what differs between Hadoop versions; this class makes what Hadoop 2.7 has.
 *
 * <p>A missing superinterface fails when a class loads, and a class that merely mentions another in
 * a ternary or passes a {@code new} may fail verification. So there is one probe, and the maker for
 * Hadoop 3.3.5 and later is named only by a string.
 */
class HadoopMaker {
    /** The maker for the Hadoop that is on the class path. */
    static final HadoopMaker INSTANCE = choose();

    private static HadoopMaker choose() {
        try {
            Class.forName("org.apache.hadoop.fs.FileRange");
            Class<?> newer = Class.forName("io.millpond.fs.Hadoop3Maker");
            return (HadoopMaker) newer.getDeclaredConstructor().newInstance();
        } catch (ReflectiveOperationException | LinkageError e) {
            return new HadoopMaker();
        }
    }

    /** The stream over an opened file. */
    CacheInputStream stream(FileReader reader, FileSystem.Statistics statistics) {
        return new CacheInputStream(reader, statistics);
    }

    /** The stream into a file that is being written. */
    CacheOutputStream output(StagedWrite staged, String path, Progressable progress) {
        return new CacheOutputStream(staged, path, progress);
    }

    FileStatus status(StatusRow row, Path path) {
        return new FileStatus(
                row.length(), row.directory(), 1, Locations.SECTION_BYTES, row.mtimeMs(), path);
    }

    LocatedFileStatus located(StatusRow row, Path path, String[] hosts) {
        return new CacheLocatedStatus(row, path, hosts);
    }

    /** Whether a connector can tell entity tags at all. */
    boolean knowsEtags() {
        return false;
    }

    /** The entity tag the connector tells, or null. */
    String etag(FileStatus status) {
        return null;
    }

    /** A stream whose file appears only if there is none by then; null where the connector can't. */
    FSDataOutputStream createAbsent(FileSystem connector, Path path) throws IOException {
        return null;
    }

    /** Ends such a stream so that no file appears. */
    void abort(FSDataOutputStream absent) {
        throw new IllegalStateException("no such stream is made here");
    }

    /** Opens what {@code status} describes; where the connector can, only in that version. */
    FSDataInputStream open(FileSystem connector, FileStatus status) throws IOException {
        return connector.open(status.getPath());
    }
}
