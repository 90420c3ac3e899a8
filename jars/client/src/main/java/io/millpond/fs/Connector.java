package io.millpond.fs;

import java.io.Closeable;
import java.io.IOException;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/** The engine's own way to a store: what a read falls back to. */
public interface Connector extends Closeable {
    FileStatus status(Path path) throws IOException;

    FileStatus[] list(Path path) throws IOException;

    /** Opens what {@code status} describes; where the connector can, only in that version. */
    FSDataInputStream open(FileStatus status) throws IOException;

    /** The file system itself, to write through; null where this only reads. */
    default FileSystem system() {
        return null;
    }

    /** Gives up what this holds; nothing where it belongs to another. */
    @Override
    default void close() throws IOException {}
}
