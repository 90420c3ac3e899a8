package io.millpond.fs.local;

import com.google.protobuf.InvalidProtocolBufferException;
import io.millpond.fs.MillpondException;
import io.millpond.fs.MountNotFoundException;
import io.millpond.fs.wire.Wire;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/** An immutable snapshot of all mounts; the longest mount path that covers a path wins. */
public final class MountTable {
    static final MountTable EMPTY = new MountTable(Wire.MountTable.getDefaultInstance());

    private final Map<String, Mount> byPath = new TreeMap<>();

    /** The table that a sidecar told. */
    public MountTable(Wire.MountTable table) {
        for (Wire.Mount each : table.getMountsList()) {
            byPath.put(each.getPath(), new Mount(each));
        }
    }

    /** The table in a mounts file. Throws UnknownFormat or Corrupt. */
    public static MountTable parse(byte[] data) throws MillpondException {
        Record.check(data, "MPONDMNT", Record.HEAD_BYTES);
        int length = data.length - Record.HEAD_BYTES - Record.CRC_BYTES;
        try {
            return new MountTable(
                    Wire.MountTable.parser().parseFrom(data, Record.HEAD_BYTES, length));
        } catch (InvalidProtocolBufferException e) {
            throw Record.corrupt("mount table does not parse", String.valueOf(e.getMessage()));
        }
    }

    /** Whether a sidecar wrote this table, or a setting: false for "there never was one". */
    public boolean published() {
        return this != EMPTY;
    }

    /** All mounts in path order. */
    public Collection<Mount> mounts() {
        return Collections.unmodifiableCollection(byPath.values());
    }

    /** The innermost mount that covers a checked path, or null. */
    public Mount find(String path) {
        String at = path;
        while (true) {
            Mount mount = byPath.get(at);
            if (mount != null || at.equals("/")) {
                return mount;
            }
            at = Names.parent(at);
        }
    }

    /** The innermost mount that covers a checked path; MountNotFound names what there is. */
    public Mount resolve(String path) throws MountNotFoundException {
        Mount mount = find(path);
        if (mount != null) {
            return mount;
        }
        String known = byPath.keySet().stream().limit(3).collect(Collectors.joining(", "));
        throw new MountNotFoundException(
                "no mount covers " + path,
                known.isEmpty() ? "nothing is mounted at all" : "nothing is mounted there",
                (known.isEmpty() ? "" : "Mounts: " + known + "; ")
                        + "'millpond mount add' adds one");
    }

    /**
     * Names that the table itself puts into a directory: mounts and the way to them. A directory
     * that no mount covers exists where this is not empty, and the root always.
     */
    public List<String> mountPoints(String path) {
        String inside = path.equals("/") ? path : path + '/';
        List<String> names = new ArrayList<>();
        for (String each : byPath.keySet()) {
            if (each.startsWith(inside) && each.length() > inside.length()) {
                int slash = each.indexOf('/', inside.length());
                String name = each.substring(inside.length(), slash < 0 ? each.length() : slash);
                if (!names.contains(name)) {
                    names.add(name);
                }
            }
        }
        return names;
    }
}
