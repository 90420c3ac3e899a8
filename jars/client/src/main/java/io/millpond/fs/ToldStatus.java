package io.millpond.fs;

import org.apache.hadoop.fs.FileStatus;

/** A status that still has what the engine's own connector said, within this process. */
interface ToldStatus {
    /** The connector's own status of this file; null where it was not asked. */
    FileStatus told();
}
