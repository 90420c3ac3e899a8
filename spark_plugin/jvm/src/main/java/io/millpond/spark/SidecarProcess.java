package io.millpond.spark;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * {@code millpond serve --with-parent} as a child of this JVM. Its standard input is a pipe that
 * nobody else holds: when this JVM ends, in whatever way, the pipe ends and so does the sidecar.
 */
final class SidecarProcess {
    private static final Logger LOG = LoggerFactory.getLogger("io.millpond.sidecar");
    private static final int LINES = 8;
    private static final long STOP_S = 15;

    private final Process process;
    private final Thread reader;
    private final Deque<String> last = new ArrayDeque<>();

    SidecarProcess(List<String> command) throws IOException {
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        // Whoever supervises this driver is not to hear of a service that it did not start.
        builder.environment().remove("NOTIFY_SOCKET");
        process = builder.start();
        reader = new Thread(this::read, "millpond-sidecar-log");
        reader.setDaemon(true);
        reader.start();
    }

    boolean alive() {
        return process.isAlive();
    }

    long pid() {
        return process.pid();
    }

    /** What it said last, on one line. Complete once it has ended. */
    String said() throws InterruptedException {
        if (!alive()) {
            reader.join(TimeUnit.SECONDS.toMillis(1));
        }
        synchronized (last) {
            return last.isEmpty() ? "it said nothing" : String.join(" / ", last);
        }
    }

    /** Ends it in order, by the end of its input; by force where that takes too long. */
    void stop() throws IOException, InterruptedException {
        process.getOutputStream().close();
        if (!process.waitFor(STOP_S, TimeUnit.SECONDS)) {
            process.destroyForcibly().waitFor();
        }
    }

    private void read() {
        try (BufferedReader lines =
                new BufferedReader(
                        new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                LOG.info("{}", line);
                synchronized (last) {
                    last.add(line);
                    if (last.size() > LINES) {
                        last.remove();
                    }
                }
            }
        } catch (IOException e) {
            LOG.debug("the sidecar's output ended", e);
        }
    }
}
