package io.millpond.fs.rpc;

import io.millpond.fs.wire.Wire;
import java.io.IOException;
import java.util.Collection;

/** The verbs of batches. They throw as {@link Sidecar}'s others do. */
public final class BatchCalls {
    private final Sidecar sidecar;

    public BatchCalls(Sidecar sidecar) {
        this.sidecar = sidecar;
    }

    /** A new batch in the mount of a directory; {@code writeType} is empty for the mount's own. */
    public Wire.BatchBeginReply begin(String path, String writeType, String name)
            throws IOException {
        return change(
                        Wire.Request.newBuilder()
                                .setBatchBegin(
                                        Wire.BatchBeginRequest.newBuilder()
                                                .setPath(path)
                                                .setWriteType(writeType)
                                                .setName(name)))
                .getBatchBegin();
    }

    /** The commit is to remove these; without any, the batch is said to be in use. */
    public void replace(String batch, Collection<String> paths, boolean recursive)
            throws IOException {
        change(
                Wire.Request.newBuilder()
                        .setBatchReplace(
                                Wire.BatchReplaceRequest.newBuilder()
                                        .setBatch(batch)
                                        .addAllPaths(paths)
                                        .setRecursive(recursive)));
    }

    /** The files of these attempts appear, all at once. Asking again changes nothing more. */
    public void commit(String batch, Collection<String> attempts, boolean dynamic)
            throws IOException {
        change(
                Wire.Request.newBuilder()
                        .setBatchCommit(
                                Wire.BatchCommitRequest.newBuilder()
                                        .setBatch(batch)
                                        .addAllAttempts(attempts)
                                        .setDynamic(dynamic)));
    }

    /** Gives a batch up, with all its files. */
    public void abort(String batch) throws IOException {
        change(
                Wire.Request.newBuilder()
                        .setBatchAbort(Wire.BatchAbortRequest.newBuilder().setBatch(batch)));
    }

    private Wire.Reply change(Wire.Request.Builder request) throws IOException {
        return sidecar.change(request, Counters.Name.CHANGES);
    }
}
