import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.hadoop.hive.metastore.HiveMetaStore;
import org.apache.hadoop.hive.metastore.IHMSHandler;
import org.apache.hadoop.hive.metastore.RetryingHMSHandler;
import org.apache.hadoop.hive.metastore.TSetIpAddressProcessor;
import org.apache.hadoop.hive.metastore.conf.MetastoreConf;
import org.apache.thrift.server.TThreadPoolServer;
import org.apache.thrift.transport.TServerSocket;

/**
 * A Hive metastore on loopback: {@code Metastore directory port key=value…}. It ends when its
 * standard input does. Hive's own main listens on all interfaces.
 */
final class Metastore {
  private Metastore() {}

  public static void main(String[] args) {
    try {
      serve(args);
    } catch (Exception e) {
      // Threads of its database would keep a failed start alive.
      e.printStackTrace();
      Runtime.getRuntime().halt(1);
    }
  }

  private static void serve(String[] args) throws Exception {
    Configuration conf = MetastoreConf.newMetastoreConf();
    conf.set("javax.jdo.option.ConnectionURL",
        "jdbc:derby:;databaseName=" + args[0] + "/metastore;create=true");
    conf.set("metastore.warehouse.dir", "file://" + args[0] + "/warehouse");
    conf.set("datanucleus.schema.autoCreateAll", "true");
    conf.set("metastore.schema.verification", "false");
    conf.set("metastore.stats.autogather", "false");
    conf.set("metastore.task.threads.always",
        "org.apache.hadoop.hive.metastore.events.EventCleanerTask");
    conf.setClassLoader(Metastore.class.getClassLoader());
    conf.set("fs.s3a.impl", Anywhere.class.getName());
    conf.set("metastore.expression.proxy",
        "org.apache.hadoop.hive.metastore.DefaultPartitionExpressionProxy");
    for (int i = 2; i < args.length; i++) {
      String[] pair = args[i].split("=", 2);
      conf.set(pair[0], pair[1]);
    }
    IHMSHandler handler =
        RetryingHMSHandler.getProxy(
            conf, new HiveMetaStore.HMSHandler("metastore", conf, false), false);
    TServerSocket socket =
        new TServerSocket(new InetSocketAddress("127.0.0.1", Integer.parseInt(args[1])));
    TThreadPoolServer server =
        new TThreadPoolServer(
            new TThreadPoolServer.Args(socket)
                .processor(new TSetIpAddressProcessor<>(handler))
                .minWorkerThreads(2)
                .maxWorkerThreads(64));
    Thread end = new Thread(Metastore::endWithInput);
    end.setDaemon(true);
    end.start();
    System.out.println("serving");
    System.out.flush();
    server.serve();
  }

  private static void endWithInput() {
    try {
      while (System.in.read() >= 0) {
        continue;
      }
    } catch (IOException e) {
      // The same as an end.
    }
    Runtime.getRuntime().halt(0);
  }

  /** In the place of the store's connector, 280 MB: each location of a table is a directory. */
  public static final class Anywhere extends RawLocalFileSystem {
    private URI uri;

    @Override
    public void initialize(URI name, Configuration conf) throws IOException {
      super.initialize(name, conf);
      uri = URI.create(name.getScheme() + "://" + name.getAuthority());
    }

    @Override
    public URI getUri() {
      return uri == null ? super.getUri() : uri;
    }

    @Override
    public FileStatus getFileStatus(Path path) {
      return new FileStatus(0, true, 1, 1, 0, path);
    }
  }
}
