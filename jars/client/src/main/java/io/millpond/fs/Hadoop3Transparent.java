package io.millpond.fs;

import java.io.IOException;
import java.util.EnumSet;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.CreateFlag;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FSDataOutputStreamBuilder;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.FutureDataInputStreamBuilder;
import org.apache.hadoop.fs.Options;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.impl.AbstractFSBuilderImpl;
import org.apache.hadoop.fs.impl.FutureDataInputStreamBuilderImpl;
import org.apache.hadoop.fs.impl.OpenFileParameters;
import org.apache.hadoop.util.LambdaUtils;
import org.apache.hadoop.util.functional.FunctionRaisingIOE;

/** What transparent file systems do on Hadoop 3 alone; loaded only when it is called. */
public final class Hadoop3Transparent {
    private Hadoop3Transparent() {}

    /** As {@link Transparent#open}, with what {@code openFile} was told; {@code cache} or null. */
    public static FSDataInputStream open(
            Transparent cache, Path path, OpenFileParameters parameters) throws IOException {
        if (cache == null || !Hadoop3Open.knows(parameters.getMandatoryKeys())) {
            return null;
        }
        Configuration options = parameters.getOptions();
        return cache.open(
                path,
                Hadoop3Open.policy(options),
                Hadoop3Open.splitEnd(options),
                store -> plan(store, path, parameters));
    }

    /** As Hadoop's own {@code openFileWithOptions} does, by an {@code open} that asks no cache. */
    public static CompletableFuture<FSDataInputStream> openPlainly(
            Path path,
            OpenFileParameters parameters,
            FunctionRaisingIOE<Integer, FSDataInputStream> open)
            throws IOException {
        AbstractFSBuilderImpl.rejectUnknownMandatoryKeys(
                parameters.getMandatoryKeys(),
                Options.OpenFileOptions.FS_OPTION_OPENFILE_STANDARD_OPTIONS,
                "for " + path);
        return LambdaUtils.eval(
                new CompletableFuture<>(), () -> open.apply(parameters.getBufferSize()));
    }

    /** A builder that has {@code cache}, which may be null, forget what it replaces. */
    public static FSDataOutputStreamBuilder<?, ?> noted(
            FileSystem system, Transparent cache, Path path, FSDataOutputStreamBuilder<?, ?> given) {
        return cache == null ? given : new Create(system, cache, path, given);
    }

    /** A builder that ends in the file system's own {@code openFileWithOptions}. */
    static FutureDataInputStreamBuilder openFile(TransparentFileSystem system, Path path) {
        return new Open(system, path).getThisBuilder();
    }

    private static Plan plan(DirectStore store, Path path, OpenFileParameters parameters) {
        FileStatus status = parameters.getStatus();
        boolean same =
                status != null
                        && status.getPath().toUri().getPath().equals(path.toUri().getPath());
        return same
                ? new Plan(
                        status.getLen(),
                        status.getModificationTime(),
                        store.versionOf(status),
                        status)
                : new Plan(Hadoop3Open.length(parameters.getOptions()), Plan.UNKNOWN, "", null);
    }

    private static final class Open extends FutureDataInputStreamBuilderImpl {
        private final TransparentFileSystem system;

        Open(TransparentFileSystem system, Path path) {
            super(system, path);
            this.system = system;
        }

        @Override
        public CompletableFuture<FSDataInputStream> build() throws IOException {
            return system.openFileWithOptions(
                    getPath(),
                    new OpenFileParameters()
                            .withMandatoryKeys(getMandatoryKeys())
                            .withOptionalKeys(getOptionalKeys())
                            .withOptions(getOptions())
                            .withBufferSize(getBufferSize())
                            .withStatus(getStatus()));
        }
    }

    /** Collects what the caller wants, then tells it to the builder that it stands for. */
    private static final class Create extends FSDataOutputStreamBuilder<FSDataOutputStream, Create> {
        private final Transparent cache;
        private final FSDataOutputStreamBuilder<?, ?> given;

        Create(
                FileSystem system,
                Transparent cache,
                Path path,
                FSDataOutputStreamBuilder<?, ?> given) {
            super(system, path);
            this.cache = cache;
            this.given = given;
            create().overwrite(true);
        }

        @Override
        public Create getThisBuilder() {
            return this;
        }

        @Override
        public FSDataOutputStream build() throws IOException {
            Set<String> mandatory = getMandatoryKeys();
            getOptions()
                    .forEach(
                            each -> {
                                if (mandatory.contains(each.getKey())) {
                                    given.must(each.getKey(), each.getValue());
                                } else {
                                    given.opt(each.getKey(), each.getValue());
                                }
                            });
            EnumSet<CreateFlag> flags = getFlags();
            given.overwrite(flags.contains(CreateFlag.OVERWRITE));
            if (flags.contains(CreateFlag.APPEND)) {
                given.append();
            }
            if (isRecursive()) {
                given.recursive();
            }
            if (getProgress() != null) {
                given.progress(getProgress());
            }
            if (getChecksumOpt() != null) {
                given.checksumOpt(getChecksumOpt());
            }
            given.permission(getPermission())
                    .bufferSize(getBufferSize())
                    .replication(getReplication())
                    .blockSize(getBlockSize());
            FSDataOutputStream out = given.build();
            cache.changed(getPath());
            return cache.noted(out, getPath());
        }
    }
}
