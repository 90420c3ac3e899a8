package io.millpond.fs.rpc;

import io.millpond.fs.wire.Wire;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.function.LongSupplier;

/** A call whose answer is one frame or several; progress only says that the sidecar is at it. */
final class AnswerCall extends Call {
    private final List<Wire.Reply> answer = new ArrayList<>(1);

    AnswerCall(LongSupplier nowNs, long silenceNs) {
        super(nowNs, silenceNs);
    }

    @Override
    void accept(Wire.Reply reply) {
        if (!reply.hasProgress()) {
            answer.add(reply);
        }
    }

    /** All frames of the answer; at least one. */
    List<Wire.Reply> get() throws IOException {
        await(() -> false);
        if (answer.isEmpty()) {
            throw new SidecarTrouble(Fallback.SIDECAR_ERROR, "an answer without content");
        }
        return answer;
    }
}
