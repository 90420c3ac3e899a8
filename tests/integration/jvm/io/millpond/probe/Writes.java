package io.millpond.probe;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.file.Files;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.BulkDelete;
import org.apache.hadoop.fs.CreateFlag;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FSDataOutputStreamBuilder;
import org.apache.hadoop.fs.FileContext;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.LeaseRecoverable;
import org.apache.hadoop.fs.MultipartUploader;
import org.apache.hadoop.fs.Options.CreateOpts;
import org.apache.hadoop.fs.Options.Rename;
import org.apache.hadoop.fs.PartHandle;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.UploadHandle;

/** Every way there is to change a file that exists, each by its name. */
final class Writes {
    private final FileSystem fs;
    private final Configuration conf;

    Writes(FileSystem fs, Configuration conf) {
        this.fs = fs;
        this.conf = conf;
    }

    /** Changes {@code path}; {@code other}, a file beside it, is there to be moved over it. */
    void perform(String how, Path path, Path other, byte[] data) throws Exception {
        switch (how) {
            case "create":
                put(fs.create(path, true), data);
                return;
            case "nonrecursive":
                put(fs.createNonRecursive(path, true, 4096, (short) 1, 1 << 20, null), data);
                return;
            case "builder":
                put(builder(path).build(), data);
                return;
            case "late builder":
                FSDataOutputStreamBuilder<?, ?> late = builder(path);
                read(path);
                put(late.build(), data);
                return;
            case "append":
                put(fs.append(path), data);
                return;
            case "append builder":
                FSDataOutputStream more = fs.appendFile(path).build();
                read(path);
                put(more, data);
                return;
            case "truncate":
                settled(path, fs.truncate(path, data.length));
                return;
            case "concat":
                fs.concat(path, new Path[] {other});
                return;
            case "rename":
                fs.delete(path, false);
                fs.rename(other, path);
                return;
            case "rename over":
                renameOver(other, path);
                return;
            case "delete":
                fs.delete(path, false);
                return;
            case "delete folder":
                fs.delete(path.getParent(), true);
                return;
            case "bulk delete":
                bulkDelete(path);
                return;
            case "upload":
                upload(path, data);
                return;
            case "copy":
                copy(path, data);
                return;
            default:
                context(how, path, other, data);
        }
    }

    private void context(String how, Path path, Path other, byte[] data) throws Exception {
        FileContext context = FileContext.getFileContext(fs.getUri(), conf);
        switch (how) {
            case "context create":
                put(
                        context.create(
                                path,
                                EnumSet.of(CreateFlag.CREATE, CreateFlag.OVERWRITE),
                                CreateOpts.createParent()),
                        data);
                return;
            case "context append":
                put(context.create(path, EnumSet.of(CreateFlag.APPEND)), data);
                return;
            case "context rename":
                context.rename(other, path);
                return;
            case "context rename over":
                context.rename(other, path, Rename.OVERWRITE);
                return;
            case "context truncate":
                settled(path, context.truncate(path, data.length));
                return;
            case "context delete":
                context.delete(path, false);
                return;
            default:
                throw new IllegalArgumentException("unknown way to write: " + how);
        }
    }

    private FSDataOutputStreamBuilder<?, ?> builder(Path path) throws IOException {
        FSDataOutputStreamBuilder<?, ?> builder = fs.createFile(path);
        builder.create();
        builder.overwrite(true);
        builder.recursive();
        return builder;
    }

    /** {@code FileSystem.rename} with options is not public everywhere. */
    private void renameOver(Path from, Path to) throws Exception {
        Method rename =
                FileSystem.class.getDeclaredMethod(
                        "rename", Path.class, Path.class, Rename[].class);
        rename.setAccessible(true);
        try {
            rename.invoke(fs, from, to, new Rename[] {Rename.OVERWRITE});
        } catch (InvocationTargetException e) {
            throw e.getCause() instanceof Exception ? (Exception) e.getCause() : e;
        }
    }

    private void bulkDelete(Path path) throws IOException {
        try (BulkDelete bulk = fs.createBulkDelete(path.getParent())) {
            List<Map.Entry<Path, String>> failed = bulk.bulkDelete(List.of(path));
            if (!failed.isEmpty()) {
                throw new IOException("not deleted: " + failed);
            }
        }
    }

    private void upload(Path path, byte[] data) throws Exception {
        try (MultipartUploader uploader =
                fs.createMultipartUploader(path.getParent()).build()) {
            UploadHandle upload = uploader.startUpload(path).get();
            PartHandle part = part(uploader, upload, path, data);
            uploader.complete(upload, path, Map.of(1, part)).get();
        }
    }

    /** Since Hadoop 3.5 it is also told whether a part is the last one. */
    private static PartHandle part(
            MultipartUploader uploader, UploadHandle upload, Path path, byte[] data)
            throws Exception {
        InputStream in = new ByteArrayInputStream(data);
        for (Method each : MultipartUploader.class.getMethods()) {
            if (each.getName().equals("putPart")) {
                Object made =
                        each.getParameterCount() == 5
                                ? each.invoke(uploader, upload, 1, path, in, data.length)
                                : each.invoke(uploader, upload, 1, true, path, in, data.length);
                return (PartHandle) ((CompletableFuture<?>) made).get();
            }
        }
        throw new NoSuchMethodException("putPart");
    }

    private void copy(Path path, byte[] data) throws IOException {
        java.nio.file.Path file = Files.createTempFile("millpond-probe", ".data");
        try {
            Files.write(file, data);
            fs.copyFromLocalFile(false, true, new Path(file.toUri()), path);
        } finally {
            Files.delete(file);
        }
    }

    /** HDFS cuts within a block after the call: until then readers see what was there. */
    private void settled(Path path, boolean done) throws IOException, InterruptedException {
        LeaseRecoverable hdfs = (LeaseRecoverable) fs;
        while (!done && !hdfs.isFileClosed(path)) {
            Thread.sleep(20);
        }
    }

    /** So that the cache knows the file as it is now. */
    private void read(Path path) throws IOException {
        try (InputStream in = fs.open(path)) {
            in.readAllBytes();
        }
    }

    private static void put(FSDataOutputStream out, byte[] data) throws IOException {
        out.write(data);
        out.close();
    }
}
