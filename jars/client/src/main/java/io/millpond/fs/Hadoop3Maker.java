package io.millpond.fs;

import java.io.IOException;
import java.io.InterruptedIOException;
import java.util.concurrent.ExecutionException;
import org.apache.hadoop.fs.EtagSource;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.LocatedFileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.util.Progressable;

/** Makes what Hadoop 3.3.5 and later have. Named only by a string in {@link HadoopMaker}. */
final class Hadoop3Maker extends HadoopMaker {
    /** Known to S3A since Hadoop 3.4.2: {@code If-None-Match} goes with what makes the object. */
    private static final String CONDITIONAL = "fs.option.create.conditional.overwrite";

    @Override
    CacheInputStream stream(FileReader reader, FileSystem.Statistics statistics) {
        return new Hadoop3InputStream(reader, statistics);
    }

    @Override
    CacheOutputStream output(StagedWrite staged, String path, Progressable progress) {
        return new Hadoop3OutputStream(staged, path, progress);
    }

    @Override
    FileStatus status(StatusRow row, Path path) {
        return new EtagStatus(row, path);
    }

    @Override
    LocatedFileStatus located(StatusRow row, Path path, String[] hosts) {
        return new EtagLocatedStatus(row, path, hosts);
    }

    @Override
    boolean knowsEtags() {
        return true;
    }

    @Override
    String etag(FileStatus status) {
        return status instanceof EtagSource ? ((EtagSource) status).getEtag() : null;
    }

    @Override
    FSDataOutputStream createAbsent(FileSystem connector, Path path) throws IOException {
        try {
            return (FSDataOutputStream)
                    connector
                            .createFile(path)
                            .overwrite(false)
                            .recursive()
                            .must(CONDITIONAL, true)
                            .build();
        } catch (IllegalArgumentException | UnsupportedOperationException e) {
            return null;
        }
    }

    @Override
    void abort(FSDataOutputStream absent) {
        absent.abort();
    }

    @Override
    FSDataInputStream open(FileSystem connector, FileStatus status) throws IOException {
        try {
            return connector.openFile(status.getPath()).withFileStatus(status).build().get();
        } catch (ExecutionException e) {
            Throwable cause = e.getCause();
            throw cause instanceof IOException ? (IOException) cause : new IOException(cause);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            InterruptedIOException io = new InterruptedIOException("interrupted while opening");
            io.initCause(e);
            throw io;
        }
    }
}
