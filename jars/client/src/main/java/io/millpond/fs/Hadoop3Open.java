package io.millpond.fs;

import java.io.IOException;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.StorageStatistics;
import org.apache.hadoop.fs.impl.OpenFileParameters;

/** What {@link CacheFileSystem} does on Hadoop 3 alone; loaded only when it is called. */
final class Hadoop3Open {
    private static final String OPTIONS = "fs.option.openfile.";
    private static final String POLICY = OPTIONS + "read.policy";
    private static final String LENGTH = OPTIONS + "length";
    private static final String SPLIT_END = OPTIONS + "split.end";

    private Hadoop3Open() {}

    /**
     * Opens with policy, split end, and what the plan knows of the file. The status stands for the
     * version that was planned on only where it is one of ours.
     *
     * @throws IllegalArgumentException for a mandatory key nobody knows here
     */
    static CompletableFuture<FSDataInputStream> open(
            CacheFileSystem system, Path path, OpenFileParameters parameters) {
        Set<String> mandatory = parameters.getMandatoryKeys();
        if (!knows(mandatory)) {
            throw new IllegalArgumentException("unknown mandatory option in " + mandatory);
        }
        CompletableFuture<FSDataInputStream> future = new CompletableFuture<>();
        try {
            Configuration options = parameters.getOptions();
            FileStatus status = parameters.getStatus();
            Plan plan =
                    status == null || !isCache(status)
                            ? new Plan(length(options), Plan.UNKNOWN, "", null)
                            : planned(path, status);
            future.complete(system.open(path, policy(options), splitEnd(options), plan));
        } catch (IOException | RuntimeException e) {
            future.completeExceptionally(e);
        }
        return future;
    }

    /** Through a static method: a {@code new} in the caller would fail its verification on 2.7. */
    static StorageStatistics statistics(CacheFileSystem system) {
        return new CacheStatistics(system);
    }

    /** The version counts only where the status names the very path that is opened. */
    private static Plan planned(Path path, FileStatus status) {
        boolean same = status.getPath().toUri().getPath().equals(path.toUri().getPath());
        String etag = same ? HadoopMaker.INSTANCE.etag(status) : null;
        FileStatus told = same && status instanceof ToldStatus ? ((ToldStatus) status).told() : null;
        return new Plan(
                status.getLen(), status.getModificationTime(), etag == null ? "" : etag, told);
    }

    private static boolean isCache(FileStatus status) {
        String scheme = status.getPath().toUri().getScheme();
        return scheme == null || scheme.equalsIgnoreCase(CacheFileSystem.SCHEME);
    }

    /** Whether all options that a caller insists on are Hadoop's own. */
    static boolean knows(Set<String> mandatory) {
        return mandatory.stream().allMatch(key -> key.startsWith(OPTIONS));
    }

    static ReadPolicy policy(Configuration options) {
        return ReadPolicy.parse(options.get(POLICY, ""));
    }

    static long splitEnd(Configuration options) {
        return number(options, SPLIT_END);
    }

    static long length(Configuration options) {
        return number(options, LENGTH);
    }

    /** What is no whole number is ignored: such options are hints, and come as text. */
    private static long number(Configuration options, String key) {
        try {
            return options.get(key) == null ? Plan.UNKNOWN : options.getLong(key, Plan.UNKNOWN);
        } catch (NumberFormatException e) {
            return Plan.UNKNOWN;
        }
    }
}
