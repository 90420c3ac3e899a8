package io.millpond.fs;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;

import io.millpond.fs.local.Mounts;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.security.UserGroupInformation;
import org.junit.jupiter.api.Test;

/** What an open by name alone is planned on. */
class LatelyToldTest {
    private static final Path FILE = new Path("s3a://bucket/t/f");

    private final AtomicLong now = new AtomicLong(1);
    private final LatelyTold told = new LatelyTold(now::get);
    private final DirectStore s3 = store("s3a");

    private static DirectStore store(String scheme) {
        return new DirectStore(
                Mounts.of("/m", scheme, "bucket"),
                new Configuration(false),
                UserGroupInformation.createRemoteUser("tester"));
    }

    private static FileStatus status(Path path, long length) {
        return new FileStatus(length, false, 1, 1, 4000, path);
    }

    @Test
    void theLastStatusIsThePlan() {
        assertSame(Plan.NONE, told.plan(FILE, s3));
        told.note(status(FILE, 5));
        told.note(status(FILE, 7));
        assertEquals("length 7, modified 4000", told.plan(FILE, s3).toString());
        assertEquals("length 7, modified 4000", told.plan(new Path("/t/f"), s3).toString());
        assertSame(Plan.NONE, told.plan(new Path("/t/g"), s3));
    }

    @Test
    void timesOfOtherStoresAreNotCompared() {
        told.note(status(FILE, 7));
        assertEquals("length 7, modified -1", told.plan(FILE, store("gs")).toString());
    }

    @Test
    void itIsNoPlanForLongerThanTheMountBelievesWhatItKnows() {
        told.note(status(FILE, 7));
        now.addAndGet(TimeUnit.MILLISECONDS.toNanos(s3.mount().freshnessMs()));
        assertEquals("length 7, modified 4000", told.plan(FILE, s3).toString());
        now.incrementAndGet();
        assertSame(Plan.NONE, told.plan(FILE, s3));
    }

    @Test
    void whatWasWrittenIsForgotten() {
        told.note(status(FILE, 7));
        told.forget(FILE);
        assertSame(Plan.NONE, told.plan(FILE, s3));
        told.note(status(FILE, 7));
        told.clear();
        assertSame(Plan.NONE, told.plan(FILE, s3));
    }

    @Test
    void directoriesAreNoPlan() {
        told.note(new FileStatus(0, true, 1, 1, 4000, FILE));
        assertSame(Plan.NONE, told.plan(FILE, s3));
    }
}
