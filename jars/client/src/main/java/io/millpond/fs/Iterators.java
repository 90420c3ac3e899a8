package io.millpond.fs;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.PathFilter;
import org.apache.hadoop.fs.RemoteIterator;

/** Hadoop's iterators over what is at hand. */
final class Iterators {
    private Iterators() {}

    static <T> RemoteIterator<T> of(T[] all) {
        return of(List.of(all).iterator());
    }

    static <T extends FileStatus> RemoteIterator<T> filtered(T[] all, PathFilter filter) {
        List<T> passed = new ArrayList<>();
        for (T each : all) {
            if (filter.accept(each.getPath())) {
                passed.add(each);
            }
        }
        return of(passed.iterator());
    }

    private static <T> RemoteIterator<T> of(Iterator<T> iterator) {
        return new RemoteIterator<T>() {
            @Override
            public boolean hasNext() {
                return iterator.hasNext();
            }

            @Override
            public T next() {
                if (!iterator.hasNext()) {
                    throw new NoSuchElementException("no more entries");
                }
                return iterator.next();
            }
        };
    }
}
