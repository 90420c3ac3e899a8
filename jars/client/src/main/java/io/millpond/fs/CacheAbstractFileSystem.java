package io.millpond.fs;

import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.DelegateToFileSystem;

/** {@code cache://} for FileContext: {@code fs.AbstractFileSystem.cache.impl}. */
public final class CacheAbstractFileSystem extends DelegateToFileSystem {
    /** The constructor that Hadoop calls. */
    public CacheAbstractFileSystem(URI uri, Configuration conf)
            throws IOException, URISyntaxException {
        super(uri, new CacheFileSystem(), conf, CacheFileSystem.SCHEME, false);
    }

    @Override
    public int getUriDefaultPort() {
        return -1;
    }
}
