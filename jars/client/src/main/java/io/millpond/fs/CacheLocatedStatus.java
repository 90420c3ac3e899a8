package io.millpond.fs;

import org.apache.hadoop.fs.BlockLocation;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.LocatedFileStatus;
import org.apache.hadoop.fs.Path;

/** A listed file that computes its block locations when they are asked for: nobody is called. */
class CacheLocatedStatus extends LocatedFileStatus {
    private static final long serialVersionUID = 1;

    private final String[] hosts;

    CacheLocatedStatus(StatusRow row, Path path, String[] hosts) {
        super(plain(row, path), null);
        this.hosts = hosts;
    }

    private static FileStatus plain(StatusRow row, Path path) {
        return new FileStatus(
                row.length(), row.directory(), 1, Locations.SECTION_BYTES, row.mtimeMs(), path);
    }

    @Override
    public BlockLocation[] getBlockLocations() {
        return isDirectory()
                ? Locations.NONE.clone()
                : Locations.of(hosts, getLen(), 0, Long.MAX_VALUE);
    }

    @Override
    public final boolean equals(Object other) {
        return super.equals(other);
    }

    @Override
    public final int hashCode() {
        return super.hashCode();
    }
}
