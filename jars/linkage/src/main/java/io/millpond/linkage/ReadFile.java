package io.millpond.linkage;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.URI;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;

/**
 * Reads a file through {@code cache://}, or with a third argument, a file system class, through the
 * cache in front of that class for the URI's scheme, with what every Hadoop since 2.7 has; prints the file
 * system's class, the length, and the SHA-256 of the bytes as a stream and by position.
 */
public final class ReadFile {
    private ReadFile() {}

    public static void main(String[] args) throws IOException, NoSuchAlgorithmException {
        Configuration conf = new Configuration();
        conf.set("fs.cache.dir", args[0]);
        conf.set("fs.cache.impl", "io.millpond.fs.CacheFileSystem");
        Path path = new Path(args[1]);
        String scheme = path.toUri().getScheme();
        if (args.length > 2) {
            conf.set("fs." + scheme + ".impl", "io.millpond.fs.TransparentFileSystem");
            conf.set("fs.cache.delegate." + scheme, args[2]);
        }
        try (FileSystem fs = FileSystem.newInstance(URI.create(scheme + ":///"), conf)) {
            FileStatus status = fs.getFileStatus(path);
            System.out.println("fs " + fs.getClass().getName());
            System.out.println("length " + status.getLen());
            try (FSDataInputStream in = fs.open(path)) {
                System.out.println("stream " + in.getWrappedStream().getClass().getName());
                System.out.println("sequential " + sha256(sequential(in)));
                byte[] data = new byte[(int) status.getLen()];
                int half = data.length / 2;
                in.readFully(half, data, half, data.length - half);
                in.readFully(0, data, 0, half);
                System.out.println("positioned " + sha256(data));
            }
        }
    }

    private static byte[] sequential(FSDataInputStream in) throws IOException {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        byte[] part = new byte[10_000];
        for (int count = in.read(part); count > 0; count = in.read(part)) {
            all.write(part, 0, count);
        }
        return all.toByteArray();
    }

    private static String sha256(byte[] data) throws NoSuchAlgorithmException {
        StringBuilder text = new StringBuilder();
        for (byte each : MessageDigest.getInstance("SHA-256").digest(data)) {
            text.append(String.format("%02x", each));
        }
        return text.toString();
    }
}
