package io.millpond.spark;

import io.millpond.fs.Batch;
import java.io.IOException;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.ScheduledExecutorService;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The driver's hold on the batch of one job: renews it until it ends, one way or the other. */
final class JobBatch {
    private static final Logger LOG = LoggerFactory.getLogger(CacheCommitProtocol.class);
    private static final long RENEW_MS = 60_000;

    private final Batch batch;
    private final ScheduledExecutorService timer;

    JobBatch(Batch batch) {
        this.batch = batch;
        this.timer = Daemons.every(RENEW_MS, "millpond-batch", this::renew);
    }

    Batch batch() {
        return batch;
    }

    void commit(Collection<String> attempts, boolean dynamic) throws IOException {
        try {
            batch.commit(attempts, dynamic);
        } finally {
            timer.shutdownNow();
        }
    }

    /** Nothing of it is visible, now or later; never fails. */
    void abort() {
        timer.shutdownNow();
        try {
            batch.abort();
        } catch (IOException e) {
            LOG.warn("Batch {} is dropped by its sidecar later: {}", batch.id(), e.toString());
        }
    }

    private void renew() {
        try {
            batch.replace(List.of(), false);
        } catch (IOException e) {
            LOG.warn("Batch {} could not be renewed: {}", batch.id(), e.toString());
        }
    }
}
