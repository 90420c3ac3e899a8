import java.io.File;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hdfs.HdfsConfiguration;
import org.apache.hadoop.hdfs.MiniDFSCluster;

/** An HDFS on loopback: {@code HdfsCluster directory port}. It ends when its standard input does. */
final class HdfsCluster {
  private HdfsCluster() {}

  public static void main(String[] args) throws Exception {
    Configuration conf = new HdfsConfiguration();
    conf.set(MiniDFSCluster.HDFS_MINIDFS_BASEDIR, new File(args[0]).getAbsolutePath());
    // Only its superuser may read everything; tests ask as another user.
    conf.setBoolean("dfs.permissions.enabled", true);
    conf.setInt("dfs.replication", 1);
    // Files may ask for small blocks, so that a few MiB are several.
    conf.setLong("dfs.namenode.fs-limits.min-block-size", 1 << 20);
    conf.setInt("dfs.ls.limit", 100);
    MiniDFSCluster cluster =
        new MiniDFSCluster.Builder(conf)
            .nameNodePort(Integer.parseInt(args[1]))
            .numDataNodes(1)
            .format(true)
            .build();
    cluster.waitActive();
    System.out.println("serving");
    System.out.flush();
    while (System.in.read() >= 0) {
      continue;
    }
    // Nothing in it is worth a clean end.
    Runtime.getRuntime().halt(0);
  }
}
