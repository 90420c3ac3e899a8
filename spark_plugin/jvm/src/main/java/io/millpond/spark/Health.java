package io.millpond.spark;

import io.millpond.fs.local.CacheDir;
import io.millpond.fs.local.Mount;
import io.millpond.fs.local.NodeProperties;
import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.Proxy;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** Whether a sidecar serves a cache directory, and what is mounted there. */
final class Health {
    private static final int TIMEOUT_MS = 2000;

    private final Path directory;

    Health(Path directory) {
        this.directory = directory;
    }

    /** Whether the sidecar that the directory names answers now, and is that one. */
    boolean answers() {
        try (CacheDir open = CacheDir.open(directory)) {
            NodeProperties node = open.node();
            if (node.httpPort() == 0 || node.nodeId().isEmpty()) {
                return false;
            }
            URL url = new URL("http", "127.0.0.1", node.httpPort(), "/health");
            HttpURLConnection http = (HttpURLConnection) url.openConnection(Proxy.NO_PROXY);
            http.setConnectTimeout(TIMEOUT_MS);
            http.setReadTimeout(TIMEOUT_MS);
            try {
                byte[] body = http.getInputStream().readAllBytes();
                String text = new String(body, StandardCharsets.UTF_8);
                return text.contains('"' + node.nodeId() + '"');
            } finally {
                http.disconnect();
            }
        } catch (IOException e) {
            return false;
        }
    }

    /** Whether exactly this is mounted. */
    boolean mounted(Mount wanted) throws IOException {
        try (CacheDir open = CacheDir.open(directory)) {
            Mount found = open.mounts().find(wanted.path());
            return found != null
                    && found.path().equals(wanted.path())
                    && found.storeUri().equals(wanted.storeUri());
        }
    }
}
