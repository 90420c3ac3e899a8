package io.millpond.spark;

import io.millpond.fs.Batch;
import io.millpond.fs.NotSupportedException;
import java.io.IOException;
import java.io.Serializable;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.util.ArrayList;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.UUID;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.mapreduce.JobContext;
import org.apache.hadoop.mapreduce.TaskAttemptContext;
import org.apache.spark.internal.io.FileCommitProtocol;
import org.apache.spark.internal.io.FileNameSpec;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import scala.Option;
import scala.collection.Iterator;
import scala.collection.Seq;

/**
 * Commits what Spark SQL writes to {@code cache://} as one batch: tasks write into the batch, their
 * messages name their attempts, and the job's commit is one step. Nothing is renamed, and nothing
 * of a job that fails is ever visible. Whatever is written elsewhere, or where no sidecar answers,
 * goes by Spark's own protocol or the one configured.
 *
 * <p>Speculation and retries need no arbiter: each attempt has a name of its own, Spark keeps one
 * message per partition, and the commit takes the attempts named by these.
 *
 * <p>Spark 3.5 hands {@code commitJob} a {@code scala.collection.Seq}, 4.x the immutable one: both
 * are declared, and a delegate's is called by reflection.
 */
public final class CacheCommitProtocol extends FileCommitProtocol implements Serializable {
    private static final long serialVersionUID = 1;
    private static final Logger LOG = LoggerFactory.getLogger(CacheCommitProtocol.class);
    private static final String SUCCESS = "_SUCCESS";
    private static final String MARK = "mapreduce.fileoutputcommitter.marksuccessfuljobs";
    private static final String BASENAME = "mapreduce.output.basename";
    private static final String WRITE_TYPE = "fs.cache.write.type";

    private final String jobId;
    private final String path;
    private final boolean dynamic;

    /** Set by {@code setupJob} where the job is not a batch; then all goes to it. */
    private FileCommitProtocol delegate;

    /** The segment of paths that leads into the batch. */
    private String staging;

    // In the driver.
    private transient JobBatch batch;
    private transient List<Removal> removals;

    // In a task: one instance serves one attempt.
    private transient String attempt;
    private transient Set<Path> directories;

    /** As Spark makes them: a job's id, where it writes, whether it replaces partitions it meets. */
    public CacheCommitProtocol(String jobId, String path, boolean dynamicPartitionOverwrite) {
        this.jobId = jobId;
        this.path = path;
        this.dynamic = dynamicPartitionOverwrite;
    }

    // The job.

    @Override
    public boolean deleteWithJob(FileSystem system, Path target, boolean recursive) {
        try {
            CommitRules rules = new CommitRules();
            if (delegate == null && rules.covers(system, target)) {
                removals().add(new Removal(target, recursive));
                return true;
            }
            return (delegate == null ? instantiate(rules) : delegate)
                    .deleteWithJob(system, target, recursive);
        } catch (IOException e) {
            throw raised(e);
        }
    }

    @Override
    public void setupJob(JobContext job) {
        try {
            CommitRules rules = new CommitRules();
            Path target = new Path(path);
            FileSystem system = target.getFileSystem(job.getConfiguration());
            Batch begun = rules.covers(system, target) ? begin(rules, system, job) : null;
            if (begun == null) {
                delegate = instantiate(rules);
                for (Removal each : removals()) {
                    delegate.deleteWithJob(system, each.target, each.recursive);
                }
                delegate.setupJob(job);
                return;
            }
            batch = new JobBatch(begun);
            staging = begun.staging();
            try {
                for (Removal each : removals()) {
                    begun.replace(List.of(each.target), each.recursive);
                }
            } catch (IOException e) {
                batch.abort();
                throw e;
            }
        } catch (IOException e) {
            throw raised(e);
        }
    }

    /** Spark 3.5's. */
    @Override
    public void commitJob(JobContext job, Seq<TaskCommitMessage> messages) {
        try {
            if (delegate == null) {
                commit(job.getConfiguration(), messages);
            } else {
                commitDelegate(job, messages);
            }
        } catch (IOException e) {
            throw raised(e);
        }
    }

    /** Spark 4's. */
    public void commitJob(JobContext job, scala.collection.immutable.Seq<TaskCommitMessage> all) {
        commitJob(job, (Seq<TaskCommitMessage>) all);
    }

    @Override
    public void abortJob(JobContext job) {
        if (delegate != null) {
            delegate.abortJob(job);
        } else if (batch != null) {
            batch.abort();
        }
    }

    @Override
    public void onTaskCommit(TaskCommitMessage message) {
        if (delegate != null) {
            delegate.onTaskCommit(message);
        }
    }

    // A task.

    @Override
    public void setupTask(TaskAttemptContext task) {
        if (delegate != null) {
            delegate.setupTask(task);
            return;
        }
        // Ids of attempts may come again after a driver's restart, and of streams: hence more.
        String more = UUID.randomUUID().toString().substring(0, 8);
        attempt = task.getTaskAttemptID() + "-" + more;
        directories = new LinkedHashSet<>();
    }

    @Override
    public String newTaskTempFile(
            TaskAttemptContext task, Option<String> directory, FileNameSpec spec) {
        if (delegate != null) {
            return delegate.newTaskTempFile(task, directory, spec);
        }
        String file = name(task, spec);
        String below = directory.isDefined() ? directory.get() + "/" + file : file;
        return new Path(staged(new Path(path), attempt), below).toString();
    }

    @Override
    @SuppressWarnings("deprecation")
    public String newTaskTempFile(TaskAttemptContext task, Option<String> directory, String end) {
        return delegate != null
                ? delegate.newTaskTempFile(task, directory, end)
                : newTaskTempFile(task, directory, new FileNameSpec("", end));
    }

    @Override
    public String newTaskTempFileAbsPath(
            TaskAttemptContext task, String directory, FileNameSpec spec) {
        if (delegate != null) {
            return delegate.newTaskTempFileAbsPath(task, directory, spec);
        }
        try {
            Path target = new Path(directory);
            if (!Batch.of(target.getFileSystem(task.getConfiguration()))) {
                throw new NotSupportedException(
                        "a partition at " + directory + " can't be written with " + path,
                        "what is not on cache:// can't become visible in one step with it",
                        "Set " + CommitRules.COMMIT + "=never, or move the partition");
            }
            return new Path(staged(target, attempt), name(task, spec)).toString();
        } catch (IOException e) {
            throw raised(e);
        }
    }

    @Override
    @SuppressWarnings("deprecation")
    public String newTaskTempFileAbsPath(TaskAttemptContext task, String directory, String end) {
        return delegate != null
                ? delegate.newTaskTempFileAbsPath(task, directory, end)
                : newTaskTempFileAbsPath(task, directory, new FileNameSpec("", end));
    }

    @Override
    public TaskCommitMessage commitTask(TaskAttemptContext task) {
        return delegate != null
                ? delegate.commitTask(task)
                : new TaskCommitMessage(directories.isEmpty() ? "" : attempt);
    }

    @Override
    public void abortTask(TaskAttemptContext task) {
        if (delegate != null) {
            delegate.abortTask(task);
            return;
        }
        for (Path each : directories) {
            try {
                each.getFileSystem(task.getConfiguration()).delete(each, true);
            } catch (IOException e) {
                LOG.info("{} goes with its batch: {}", each, e.toString());
            }
        }
    }

    // Parts.

    private Batch begin(CommitRules rules, FileSystem system, JobContext job) throws IOException {
        String whyNot = rules.whyNot();
        if (whyNot != null) {
            LOG.info("{} is committed by {}: {}", path, rules.delegate(), whyNot);
            return null;
        }
        String type = job.getConfiguration().get(WRITE_TYPE, "");
        Batch begun = Batch.begin(system, new Path(path), type, "spark job " + jobId);
        if (begun == null) {
            LOG.warn("{} is committed by {}: no sidecar answers", path, rules.delegate());
        }
        return begun;
    }

    private void commit(Configuration conf, Seq<TaskCommitMessage> messages) throws IOException {
        List<String> attempts = new ArrayList<>();
        for (Iterator<TaskCommitMessage> all = messages.iterator(); all.hasNext(); ) {
            String named = (String) all.next().obj();
            if (!named.isEmpty()) {
                attempts.add(named);
            }
        }
        // Spark's own leaves no marker of a dynamic overwrite either.
        if (!dynamic && conf.getBoolean(MARK, true)) {
            Path root = new Path(path);
            String marker = "job-" + UUID.randomUUID();
            Path file = new Path(new Path(root, staging + "/" + marker), SUCCESS);
            root.getFileSystem(conf).create(file, true).close();
            attempts.add(marker);
        }
        batch.commit(attempts, dynamic);
    }

    private Path staged(Path directory, String by) {
        Path at = new Path(directory, staging + "/" + by);
        directories.add(at);
        return at;
    }

    /** As Spark names files. */
    private String name(TaskAttemptContext task, FileNameSpec spec) {
        return String.format(
                "%s%s-%05d-%s%s",
                spec.prefix(),
                task.getConfiguration().get(BASENAME, "part"),
                task.getTaskAttemptID().getTaskID().getId(),
                jobId,
                spec.suffix());
    }

    private List<Removal> removals() {
        if (removals == null) {
            removals = new ArrayList<>();
        }
        return removals;
    }

    private FileCommitProtocol instantiate(CommitRules rules) {
        return FileCommitProtocol.instantiate(rules.delegate(), jobId, path, dynamic);
    }

    private void commitDelegate(JobContext job, Seq<TaskCommitMessage> messages)
            throws IOException {
        try {
            for (Method each : FileCommitProtocol.class.getMethods()) {
                if (each.getName().equals("commitJob")) {
                    each.invoke(delegate, job, messages);
                    return;
                }
            }
            throw new IllegalStateException("no commitJob in " + delegate.getClass());
        } catch (InvocationTargetException e) {
            throw raised(e.getCause());
        } catch (IllegalAccessException e) {
            throw new IOException(e);
        }
    }

    /** Throws what Scala's signatures do not declare, as it is: Spark shows its type. */
    @SuppressWarnings("unchecked")
    private static <T extends Throwable> RuntimeException raised(Throwable error) throws T {
        throw (T) error;
    }

    /** What an overwrite takes away. */
    private static final class Removal {
        private final Path target;
        private final boolean recursive;

        private Removal(Path target, boolean recursive) {
            this.target = target;
            this.recursive = recursive;
        }
    }
}
