package io.millpond.fs.rpc;

import io.millpond.fs.wire.Wire;
import java.io.IOException;
import java.util.List;
import java.util.function.LongSupplier;

/** A Fill in flight: says how many bytes of its ranges are present while it still runs. */
public final class FillCall extends Call {
    private final List<Wire.Range> ranges;
    private final long start;
    private final long end;
    private long ready;
    private Wire.FillReply reply;

    FillCall(LongSupplier nowNs, long silenceNs, List<Wire.Range> ranges) {
        super(nowNs, silenceNs);
        Wire.Range last = ranges.get(ranges.size() - 1);
        this.ranges = ranges;
        this.start = ranges.get(0).getOffset();
        this.end = last.getOffset() + last.getLength();
    }

    @Override
    void accept(Wire.Reply frame) {
        if (frame.hasProgress()) {
            ready = Math.max(ready, frame.getProgress().getReady());
        } else if (frame.hasFill()) {
            reply = frame.getFill();
        }
    }

    /** First byte of the first range. */
    public long start() {
        return start;
    }

    /** End of the last range. */
    public long end() {
        return end;
    }

    public boolean covers(long position) {
        return start <= position && position < end;
    }

    /** How many bytes of the ranges lie before {@code position} in the file. */
    public long bytesBefore(long position) {
        long sum = 0;
        for (Wire.Range each : ranges) {
            sum += Math.max(0, Math.min(each.getLength(), position - each.getOffset()));
        }
        return sum;
    }

    /**
     * Waits until more than {@code bytes} bytes of the ranges are present, or the reply is here.
     *
     * @return the reply, or null while the fill goes on
     */
    public Wire.FillReply await(long bytes) throws IOException {
        await(() -> reply != null || ready > bytes);
        synchronized (this) {
            if (reply == null && ready <= bytes) {
                throw new SidecarTrouble(Fallback.SIDECAR_ERROR, "a Fill ended without a reply");
            }
            return reply;
        }
    }
}
