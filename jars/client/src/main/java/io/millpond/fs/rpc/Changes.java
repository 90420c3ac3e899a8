package io.millpond.fs.rpc;

import io.millpond.fs.wire.Wire;
import java.io.IOException;
import java.util.List;

/** The verbs that change something. They throw as {@link Sidecar}'s others do. */
public final class Changes {
    private final Sidecar sidecar;

    public Changes(Sidecar sidecar) {
        this.sidecar = sidecar;
    }

    /**
     * Opens a write, with one staging file. {@code parent}: the directory above has to exist; {@code
     * writeType}: empty for the mount's.
     */
    public Wire.BeginReply begin(String path, boolean overwrite, boolean parent, String writeType)
            throws IOException {
        return begin(
                Wire.BeginRequest.newBuilder()
                        .setPath(path)
                        .setOverwrite(overwrite)
                        .setParent(parent)
                        .setWriteType(writeType)
                        .setFiles(1));
    }

    /** More staging files for a write. */
    public List<String> more(long write, int files) throws IOException {
        return begin(Wire.BeginRequest.newBuilder().setWrite(write).setFiles(files))
                .getFilesList();
    }

    /** Has the file appear; what it is now. */
    public Wire.FileInfo commit(long write, long length, List<String> files) throws IOException {
        Wire.CommitRequest.Builder commit =
                Wire.CommitRequest.newBuilder()
                        .setWrite(write)
                        .setLength(length)
                        .addAllFiles(files);
        return sidecar.change(
                        Wire.Request.newBuilder().setCommit(commit), Counters.Name.WRITES)
                .getCommit()
                .getInfo();
    }

    /** Gives a write up. */
    public void abort(long write) throws IOException {
        Wire.AbortRequest.Builder abort = Wire.AbortRequest.newBuilder().setWrite(write);
        change(Wire.Request.newBuilder().setAbort(abort));
    }

    /**
     * Renames, with {@code into} into {@code target} where that is a directory; where it lies now.
     * {@code again}: it was asked for before, and the answer was lost.
     */
    public String rename(String source, String target, boolean into, boolean again)
            throws IOException {
        Wire.RenameRequest.Builder rename =
                Wire.RenameRequest.newBuilder()
                        .setSource(source)
                        .setTarget(target)
                        .setInto(into)
                        .setAgain(again);
        return change(Wire.Request.newBuilder().setRename(rename)).getRename().getPath();
    }

    public void delete(String path, boolean recursive) throws IOException {
        Wire.DeleteRequest.Builder delete =
                Wire.DeleteRequest.newBuilder().setPath(path).setRecursive(recursive);
        change(Wire.Request.newBuilder().setDelete(delete));
    }

    public void mkdirs(String path) throws IOException {
        Wire.MkdirsRequest.Builder mkdirs = Wire.MkdirsRequest.newBuilder().setPath(path);
        change(Wire.Request.newBuilder().setMkdirs(mkdirs));
    }

    /** -1 leaves a time as it is. */
    public void setTimes(String path, long mtimeMs, long atimeMs) throws IOException {
        Wire.SetTimesRequest.Builder times =
                Wire.SetTimesRequest.newBuilder()
                        .setPath(path)
                        .setMtimeMs(mtimeMs)
                        .setAtimeMs(atimeMs);
        change(Wire.Request.newBuilder().setSetTimes(times));
    }

    private Wire.BeginReply begin(Wire.BeginRequest.Builder begin) throws IOException {
        return sidecar.change(Wire.Request.newBuilder().setBegin(begin), Counters.Name.BEGINS)
                .getBegin();
    }

    private Wire.Reply change(Wire.Request.Builder request) throws IOException {
        return sidecar.change(request, Counters.Name.CHANGES);
    }
}
