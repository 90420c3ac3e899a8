package io.millpond.fs;

import org.apache.hadoop.fs.EtagSource;
import org.apache.hadoop.fs.Path;

/** A listed file that also tells its version, as an entity tag. */
final class EtagLocatedStatus extends CacheLocatedStatus implements EtagSource {
    private static final long serialVersionUID = 1;

    private final String etag;

    EtagLocatedStatus(StatusRow row, Path path, String[] hosts) {
        super(row, path, hosts);
        this.etag = row.version();
    }

    @Override
    public String getEtag() {
        return etag;
    }
}
