package io.millpond.fs.local;

import io.millpond.fs.MillpondException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

/** Who this node is and where its sidecar listens: {@code node.properties}. */
public final class NodeProperties {
    static final NodeProperties NONE = new NodeProperties(Collections.emptyMap());

    private final Map<String, String> values;

    private NodeProperties(Map<String, String> values) {
        this.values = values;
    }

    /** The properties in {@code key=value} lines. Throws Corrupt. */
    static NodeProperties parse(byte[] data) throws MillpondException {
        Map<String, String> values = new TreeMap<>();
        for (String line : Record.text(data, 0, data.length).split("\r?\n")) {
            int equals = line.indexOf('=');
            if (line.isBlank() || line.startsWith("#")) {
                continue;
            }
            if (equals < 0) {
                throw Record.corrupt("node.properties is garbled", "a line without '='");
            }
            values.put(line.substring(0, equals).trim(), line.substring(equals + 1).trim());
        }
        return new NodeProperties(values);
    }

    /** The value of a key, or the empty string. */
    public String get(String key) {
        return values.getOrDefault(key, "");
    }

    public String nodeId() {
        return get("node.id");
    }

    /** Names under which engines know this host. */
    public List<String> aliases() {
        List<String> aliases = new ArrayList<>();
        for (String alias : get("node.aliases").split(",")) {
            if (!alias.isBlank()) {
                aliases.add(alias.trim());
            }
        }
        return aliases;
    }

    /** Path of the sidecar's Unix socket, or the empty string. */
    public String socket() {
        return get("socket");
    }

    public String tcpHost() {
        return get("tcp.host");
    }

    /** Port of the local protocol, or 0. */
    public int tcpPort() {
        return port("tcp.port");
    }

    /** Port of HTTP, or 0. */
    public int httpPort() {
        return port("http.port");
    }

    private int port(String key) {
        try {
            int port = Integer.parseInt(get(key));
            return port > 0 && port < 65536 ? port : 0;
        } catch (NumberFormatException e) {
            return 0;
        }
    }
}
