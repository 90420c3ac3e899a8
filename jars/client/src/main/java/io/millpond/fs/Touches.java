package io.millpond.fs;

import com.google.protobuf.ByteString;
import io.millpond.fs.local.BlockPool;
import io.millpond.fs.local.Names;
import io.millpond.fs.wire.Wire;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * What was read since the last report: late, lossy and bounded, as eviction policies tolerate.
 * Reads of blocks are counted where the block is open, and collected here when a report is due.
 */
final class Touches {
    private static final int MAX_ENTRIES = 8192;

    private final Map<String, Integer> metas = new ConcurrentHashMap<>();

    /** A small file was read from its meta. */
    void meta(String storePath) {
        if (metas.size() < MAX_ENTRIES) {
            metas.merge(storePath, 1, Integer::sum);
        }
    }

    /** Everything since the last call; {@code blocks} may be null. */
    List<Wire.Touch> drain(BlockPool blocks) {
        List<Wire.Touch> all = new ArrayList<>();
        if (blocks != null) {
            blocks.drainReads(
                    (file, block, reads) ->
                            all.add(
                                    Wire.Touch.newBuilder()
                                            .setFileId(ByteString.copyFrom(file.bytes()))
                                            .setBlock(block)
                                            .setReads(reads)
                                            .build()));
        }
        for (String storePath : metas.keySet()) {
            Integer reads = metas.remove(storePath);
            all.add(
                    Wire.Touch.newBuilder()
                            .setMeta(ByteString.copyFrom(Names.pathHash(storePath)))
                            .setReads(reads == null ? 1 : reads)
                            .build());
        }
        return all;
    }
}
