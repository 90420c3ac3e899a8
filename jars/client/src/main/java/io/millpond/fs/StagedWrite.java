package io.millpond.fs;

import io.millpond.fs.local.BlockWriter;
import io.millpond.fs.local.FileId;
import io.millpond.fs.local.Layout;
import io.millpond.fs.rpc.Changes;
import io.millpond.fs.rpc.Counters;
import io.millpond.fs.rpc.SidecarTrouble;
import io.millpond.fs.wire.Wire;
import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;

/**
 * One file on its way into staging, and its commit. It belongs to the connection to the sidecar: if
 * that ends the file can't be committed, and nothing of it was ever visible. Not thread-safe.
 */
final class StagedWrite {
    private static final int AHEAD_FILES = 4;

    private final Client client;
    private final Changes changes;
    private final Path directory;
    private final String path;
    private final long write;
    private final FileId id;
    private final Deque<String> spare = new ArrayDeque<>();
    private final List<String> files = new ArrayList<>();
    private BlockWriter block;
    private long length;
    private boolean gone;

    /** Begins the write, and opens its first file: where that fails nothing was done yet. */
    StagedWrite(Client client, Path directory, String path, Writes.Options options)
            throws IOException {
        this.client = client;
        this.changes = new Changes(client.sidecar());
        this.directory = directory;
        this.path = path;
        Wire.BeginReply begun =
                changes.begin(path, options.overwrite, options.parent, options.writeType);
        this.write = begun.getWrite();
        this.id = FileId.of(begun.getFileId().toByteArray());
        spare.addAll(begun.getFilesList());
        try {
            next();
        } catch (IOException e) {
            abort();
            throw e;
        }
    }

    /** Takes whole pages; only the last call may bring a part of one. */
    void write(byte[] data, int from, int count) throws IOException {
        int at = from;
        int left = count;
        try {
            while (left > 0) {
                if (block == null) {
                    next();
                }
                int some = Math.min(left, block.free());
                block.write(data, at, some);
                at += some;
                left -= some;
                length += some;
                if (block.free() == 0) {
                    finish();
                }
            }
        } catch (SidecarTrouble e) {
            throw lost(e);
        } catch (FileSystemException e) {
            throw e;
        } catch (IOException e) {
            throw full(e);
        }
    }

    /** Has the file appear in the store; whole, or not at all where this throws. */
    Wire.FileInfo commit() throws IOException {
        try {
            if (block != null) {
                finish();
            }
            Wire.FileInfo info = changes.commit(write, length, length > 0 ? files : List.of());
            client.counters().add(Counters.Name.WRITTEN_BYTES, length);
            return info;
        } catch (SidecarTrouble e) {
            throw lost(e);
        }
    }

    /** Gives it up; never fails. */
    void abort() {
        try {
            if (block != null) {
                block.close();
            }
            if (!gone) {
                changes.abort(write);
            }
        } catch (IOException e) {
            // The sidecar removes it when the connection ends.
        }
    }

    private void next() throws IOException {
        if (spare.isEmpty()) {
            spare.addAll(changes.more(write, AHEAD_FILES));
        }
        String name = spare.remove();
        block = new BlockWriter(directory.resolve(name), id, files.size());
        files.add(name);
    }

    private void finish() throws IOException {
        BlockWriter done = block;
        block = null;
        if (length > 0) {
            done.finish();
        } else {
            done.close();
        }
    }

    private IOException full(IOException error) {
        String text = String.valueOf(error.getMessage());
        if (!text.contains("No space left") && !text.contains("quota exceeded")) {
            return error;
        }
        NoSpaceException typed =
                new NoSpaceException(
                        path + " can't be written: the cache disk is full",
                        text,
                        "Free space on " + directory);
        typed.initCause(error);
        return typed;
    }

    /** The sidecar's own error where it named one. */
    private IOException lost(SidecarTrouble trouble) {
        gone = true;
        Throwable cause = trouble.getCause();
        if (cause instanceof IOException) {
            return (IOException) cause;
        }
        SidecarUnavailableException typed =
                new SidecarUnavailableException(
                        path + " may not have been written",
                        "the sidecar was lost before it confirmed: " + trouble.getMessage(),
                        "Write the file again");
        typed.initCause(trouble);
        return typed;
    }

    /** The size of what is best written at once. */
    static int bufferBytes() {
        return 4 * Layout.PAGE_BYTES;
    }
}
