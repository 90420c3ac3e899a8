package io.millpond.fs;

import com.google.protobuf.ByteString;
import io.millpond.fs.local.Names;
import io.millpond.fs.wire.Wire;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/** What was read since the last report: late, lossy and bounded, as eviction policies tolerate. */
final class Touches {
    private static final int MAX_ENTRIES = 8192;

    private final Set<HeldBlock> open = ConcurrentHashMap.newKeySet();
    private final Map<Wire.Touch, Integer> closed = new ConcurrentHashMap<>();
    private final Map<String, Integer> metas = new ConcurrentHashMap<>();

    void opened(HeldBlock block) {
        open.add(block);
    }

    void closed(HeldBlock block) {
        open.remove(block);
        int reads = block.drain();
        if (reads > 0 && closed.size() < MAX_ENTRIES) {
            closed.merge(touch(block), reads, Integer::sum);
        }
    }

    /** A small file was read from its meta. */
    void meta(String storePath) {
        if (metas.size() < MAX_ENTRIES) {
            metas.merge(storePath, 1, Integer::sum);
        }
    }

    /** Everything since the last call. */
    List<Wire.Touch> drain() {
        List<Wire.Touch> all = new ArrayList<>();
        for (HeldBlock block : open) {
            int reads = block.drain();
            if (reads > 0) {
                all.add(touch(block).toBuilder().setReads(reads).build());
            }
        }
        for (Wire.Touch key : closed.keySet()) {
            Integer reads = closed.remove(key);
            all.add(key.toBuilder().setReads(reads == null ? 1 : reads).build());
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

    private static Wire.Touch touch(HeldBlock block) {
        return Wire.Touch.newBuilder()
                .setFileId(ByteString.copyFrom(block.id().bytes()))
                .setBlock(block.number())
                .build();
    }
}
