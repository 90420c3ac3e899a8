package io.millpond.fs.s3a;

import io.millpond.fs.Transparent;
import java.io.IOException;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.fs.BulkDelete;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.statistics.IOStatistics;

/** A bulk delete of S3A's, of which the cache hears page by page. */
final class NotedBulkDelete implements BulkDelete {
    private final BulkDelete given;
    private final Transparent cache;

    NotedBulkDelete(BulkDelete given, Transparent cache) {
        this.given = given;
        this.cache = cache;
    }

    @Override
    public int pageSize() {
        return given.pageSize();
    }

    @Override
    public Path basePath() {
        return given.basePath();
    }

    @Override
    public List<Map.Entry<Path, String>> bulkDelete(Collection<Path> paths) throws IOException {
        try {
            return given.bulkDelete(paths);
        } finally {
            cache.changed(paths);
        }
    }

    @Override
    public IOStatistics getIOStatistics() {
        return given.getIOStatistics();
    }

    @Override
    public void close() throws IOException {
        given.close();
    }
}
