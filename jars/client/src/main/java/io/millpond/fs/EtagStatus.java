package io.millpond.fs;

import org.apache.hadoop.fs.EtagSource;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;

/** A status that also tells the version, as an entity tag. */
final class EtagStatus extends FileStatus implements EtagSource, ToldStatus {
    private static final long serialVersionUID = 1;

    private final String etag;
    private final transient FileStatus told;

    EtagStatus(StatusRow row, Path path) {
        super(row.length(), row.directory(), 1, Locations.SECTION_BYTES, row.mtimeMs(), path);
        this.etag = row.version();
        this.told = row.told();
    }

    @Override
    public FileStatus told() {
        return told;
    }

    @Override
    public String getEtag() {
        return etag;
    }

    @Override
    public boolean equals(Object other) {
        return super.equals(other);
    }

    @Override
    public int hashCode() {
        return super.hashCode();
    }
}
