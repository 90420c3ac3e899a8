package io.millpond.fs.rpc;

import io.millpond.fs.wire.Wire;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.net.ConnectException;
import java.net.HttpURLConnection;
import java.net.MalformedURLException;
import java.net.NoRouteToHostException;
import java.net.Proxy;
import java.net.SocketTimeoutException;
import java.net.URL;
import java.net.URLEncoder;
import java.net.UnknownHostException;
import java.nio.channels.Channels;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/**
 * The sidecar of another node, asked over HTTP. Calls throw the sidecar's typed errors where they
 * are the user's to see, else {@link SidecarTrouble}; thread-safe. The deadline is on silence: no
 * byte for {@code silenceMs}. There is no thread that probes: every few seconds one call tries.
 */
public final class RemoteSidecar {
    private static final int MAX_MESSAGE_BYTES = 8 << 20;
    private static final String PROTOBUF = "application/x-protobuf";

    private final String address;
    private final String token;
    private final int silenceMs;
    private final Counters counters;
    private final Breaker breaker;

    /** {@code address} is {@code host:port}. */
    public RemoteSidecar(
            String address, String token, int silenceMs, int probeMs, Counters counters) {
        this.address = address;
        this.token = token;
        this.silenceMs = silenceMs;
        this.counters = counters;
        this.breaker = new Breaker(System::nanoTime, TimeUnit.MILLISECONDS.toNanos(probeMs));
    }

    /** The mounts of the other node. */
    public Wire.MountTable mounts() throws IOException {
        return Wire.MountTable.parseFrom(message("mounts"));
    }

    /**
     * The file or directory at a path; a file's id names its version, cacheable or not. {@code
     * force}: the store is asked now.
     */
    public Wire.FileInfo stat(String path, boolean force) throws IOException {
        counters.add(Counters.Name.STATS, 1);
        return Wire.FileInfo.parseFrom(message(query("stat", path) + (force ? "&force=1" : "")));
    }

    /** A validated listing: the frames as they came, the first with the directory itself. */
    public List<Wire.ListReply> list(String path, boolean recursive) throws IOException {
        counters.add(Counters.Name.LISTS, 1);
        List<Wire.ListReply> all = new ArrayList<>();
        try (InputStream in =
                get(query("list", path) + (recursive ? "&recursive=1" : ""), null, 0, 0)) {
            Frames.Reader frames = new Frames.Reader(Channels.newChannel(in));
            boolean more = true;
            while (more) {
                Wire.Reply reply = frames.next();
                if (reply == null) {
                    throw new EOFException("the listing ends before its end");
                }
                if (reply.hasError()) {
                    throw RemoteErrors.of(reply.getError());
                }
                all.add(reply.getList());
                more = reply.getMore();
            }
            return all;
        } catch (IOException e) {
            throw trouble(e);
        }
    }

    /** The bytes [start, end) of the version that {@code id} names, as they arrive. */
    public InputStream open(String path, byte[] id, long start, long end) throws IOException {
        counters.add(Counters.Name.FILLS, 1);
        return get(query("file", path), id, start, end);
    }

    /** What an exception in the middle of a reply means: always to be thrown. */
    public IOException trouble(IOException e) {
        if (e instanceof SidecarTrouble || e instanceof io.millpond.fs.Fault) {
            return e;
        }
        if (e instanceof SocketTimeoutException) {
            breaker.silence();
            return new SidecarTrouble(
                    Fallback.SILENCE, address + ": nothing heard for " + silenceMs + " ms");
        }
        if (e instanceof InterruptedIOException) {
            return e;
        }
        boolean absent =
                e instanceof ConnectException
                        || e instanceof NoRouteToHostException
                        || e instanceof UnknownHostException;
        if (absent) {
            breaker.refused();
        }
        return new SidecarTrouble(
                absent ? Fallback.SIDECAR_ABSENT : Fallback.SIDECAR_GONE, address + ": " + e);
    }

    private byte[] message(String target) throws IOException {
        try (InputStream in = get(target, null, 0, 0)) {
            return in.readNBytes(MAX_MESSAGE_BYTES);
        } catch (IOException e) {
            throw trouble(e);
        }
    }

    private static String query(String what, String path) {
        return what + "?path=" + URLEncoder.encode(path, StandardCharsets.UTF_8);
    }

    private InputStream get(String target, byte[] id, long start, long end) throws IOException {
        if (!breaker.closed() && !breaker.probe()) {
            throw new SidecarTrouble(Fallback.BREAKER_OPEN, address + " fell silent");
        }
        try {
            // The token is for this address alone: no proxy, and wherever an answer points to.
            HttpURLConnection line = (HttpURLConnection) url(target).openConnection(Proxy.NO_PROXY);
            line.setInstanceFollowRedirects(false);
            line.setUseCaches(false);
            line.setConnectTimeout(silenceMs);
            line.setReadTimeout(silenceMs);
            line.setRequestProperty("Authorization", "Bearer " + token);
            if (id != null) {
                line.setRequestProperty("If-Match", '"' + hex(id) + '"');
                line.setRequestProperty("Range", "bytes=" + start + "-" + (end - 1));
            }
            int status = line.getResponseCode();
            breaker.heard();
            if (status < 300) {
                return line.getInputStream();
            }
            throw refusal(line, status);
        } catch (IOException e) {
            throw trouble(e);
        }
    }

    private IOException refusal(HttpURLConnection line, int status) throws IOException {
        try (InputStream in = line.getErrorStream()) {
            byte[] body = in == null ? new byte[0] : in.readNBytes(MAX_MESSAGE_BYTES);
            if (PROTOBUF.equals(line.getContentType())) {
                return RemoteErrors.of(Wire.Error.parseFrom(body));
            }
        }
        return new SidecarTrouble(
                Fallback.SIDECAR_ERROR, address + " answers " + status + ", as no sidecar does");
    }

    private URL url(String target) throws MalformedURLException {
        return new URL("http://" + address + "/v1/" + target);
    }

    private static String hex(byte[] id) {
        StringBuilder text = new StringBuilder();
        for (byte each : id) {
            text.append(Character.forDigit(each >> 4 & 15, 16)).append(Character.forDigit(each & 15, 16));
        }
        return text.toString();
    }

    @Override
    public String toString() {
        return address;
    }
}
