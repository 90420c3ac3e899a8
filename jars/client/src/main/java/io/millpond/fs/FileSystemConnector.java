package io.millpond.fs;

import java.io.IOException;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/** A connector that is a whole file system of Hadoop's. */
final class FileSystemConnector implements Connector {
    private final FileSystem system;
    private final boolean own;

    /** {@code own}: whether closing this closes the file system. */
    FileSystemConnector(FileSystem system, boolean own) {
        this.system = system;
        this.own = own;
    }

    @Override
    public FileStatus status(Path path) throws IOException {
        return system.getFileStatus(path);
    }

    @Override
    public FileStatus[] list(Path path) throws IOException {
        return system.listStatus(path);
    }

    @Override
    public FSDataInputStream open(FileStatus status) throws IOException {
        return HadoopMaker.INSTANCE.open(system, status);
    }

    @Override
    public FileSystem system() {
        return system;
    }

    @Override
    public void close() throws IOException {
        if (own) {
            system.close();
        }
    }
}
