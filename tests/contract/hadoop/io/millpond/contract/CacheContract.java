package io.millpond.contract;

import java.io.IOException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.contract.AbstractBondedFSContract;

/** {@code cache://} at one mount, which the property {@code millpond.mount} names. */
final class CacheContract extends AbstractBondedFSContract {
    CacheContract(Configuration conf) {
        super(conf);
        addConfResource("contract/cache.xml");
    }

    @Override
    public void init() throws IOException {
        getConf().addResource(new Path(System.getProperty("millpond.conf")));
        super.init();
    }

    @Override
    public String getScheme() {
        return "cache";
    }

    @Override
    public Path getTestPath() {
        return new Path(System.getProperty("millpond.mount"), "test");
    }
}
