package io.millpond.fs;

import org.apache.hadoop.fs.BlockLocation;

/** Block locations: sections of 128 MiB, all of them at this node. */
final class Locations {
    static final long SECTION_BYTES = 128L << 20;
    static final BlockLocation[] NONE = new BlockLocation[0];

    private Locations() {}

    /**
     * The sections of a file of {@code length} bytes that overlap the given range; without hosts
     * where {@code hosts} is empty, which claims nothing.
     */
    static BlockLocation[] of(String[] hosts, long length, long start, long count) {
        long end = count > length - start ? length : start + count;
        if (start >= end) {
            return NONE.clone();
        }
        long first = start / SECTION_BYTES;
        int sections = (int) ((end - 1) / SECTION_BYTES - first) + 1;
        BlockLocation[] found = new BlockLocation[sections];
        for (int i = 0; i < sections; i++) {
            long at = (first + i) * SECTION_BYTES;
            found[i] =
                    new BlockLocation(hosts, hosts, at, Math.min(SECTION_BYTES, length - at));
        }
        return found;
    }
}
