package io.millpond.fs.rpc;

import java.io.IOException;
import java.lang.reflect.InvocationTargetException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ProtocolFamily;
import java.net.SocketAddress;
import java.net.StandardSocketOptions;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;

/** Where the sidecar listens, as {@code node.properties} says, and what it is shown. */
public final class Endpoint {
    private final Path socket;
    private final String host;
    private final int port;
    private final byte[] token;
    private final byte[] secret;

    /** {@code socket} may be null, {@code port} 0: then that way is not there. */
    public Endpoint(Path socket, String host, int port, byte[] token, byte[] secret) {
        this.socket = socket;
        this.host = host;
        this.port = port;
        this.token = token.clone();
        this.secret = secret.clone();
    }

    byte[] token() {
        return token.clone();
    }

    /** Proves a writer's name; empty where this process has none. */
    byte[] secret() {
        return secret.clone();
    }

    /** Connects: by Unix socket where this Java has them, else by loopback TCP. Blocks. */
    SocketChannel connect() throws IOException {
        SocketChannel unix = socket != null && Files.exists(socket) ? unix() : null;
        if (unix != null) {
            return unix;
        }
        if (port == 0) {
            throw new IOException("no socket at " + socket + " and no TCP port");
        }
        SocketChannel tcp = SocketChannel.open();
        try {
            tcp.setOption(StandardSocketOptions.TCP_NODELAY, true);
            tcp.connect(new InetSocketAddress(InetAddress.getByName(host), port));
            return tcp;
        } catch (IOException | RuntimeException e) {
            tcp.close();
            throw e;
        }
    }

    /** By reflection, since this is built for Java 11; null where Java has no Unix sockets. */
    private SocketChannel unix() throws IOException {
        SocketChannel channel = null;
        try {
            SocketAddress address =
                    (SocketAddress)
                            Class.forName("java.net.UnixDomainSocketAddress")
                                    .getMethod("of", Path.class)
                                    .invoke(null, socket);
            ProtocolFamily family = family();
            channel =
                    (SocketChannel)
                            SocketChannel.class
                                    .getMethod("open", ProtocolFamily.class)
                                    .invoke(null, family);
            channel.connect(address);
            return channel;
        } catch (InvocationTargetException e) {
            close(channel);
            if (e.getCause() instanceof IOException) {
                throw (IOException) e.getCause();
            }
            return null;
        } catch (ReflectiveOperationException | LinkageError e) {
            close(channel);
            return null;
        } catch (IOException | RuntimeException e) {
            close(channel);
            throw e;
        }
    }

    private static ProtocolFamily family() throws ReflectiveOperationException {
        for (ProtocolFamily each : java.net.StandardProtocolFamily.values()) {
            if (each.name().equals("UNIX")) {
                return each;
            }
        }
        throw new NoSuchFieldException("UNIX");
    }

    private static void close(SocketChannel channel) throws IOException {
        if (channel != null) {
            channel.close();
        }
    }
}
