package io.millpond.fs;

import org.apache.hadoop.fs.EtagSource;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;

/** A listed file that also tells its version, as an entity tag. */
final class EtagLocatedStatus extends CacheLocatedStatus implements EtagSource, ToldStatus {
    private static final long serialVersionUID = 1;

    private final String etag;
    private final transient FileStatus told;

    EtagLocatedStatus(StatusRow row, Path path, String[] hosts) {
        super(row, path, hosts);
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
}
