import java.io.BufferedReader;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.util.EnumSet;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.hdfs.DFSTestUtil;
import org.apache.hadoop.hdfs.HdfsConfiguration;
import org.apache.hadoop.hdfs.MiniDFSCluster;
import org.apache.hadoop.hdfs.MiniDFSNNTopology;
import org.apache.hadoop.hdfs.client.CreateEncryptionZoneFlag;
import org.apache.hadoop.hdfs.client.HdfsAdmin;
import org.apache.hadoop.hdfs.tools.DFSAdmin;
import org.apache.hadoop.util.ToolRunner;

/**
 * An HDFS on loopback: {@code HdfsCluster directory port [name-service second-port]}, the latter
 * with two NameNodes {@code a} and {@code b}, of which {@code a} is active. It ends when its
 * standard input does. Each line of that is a number and a command; the answer is {@code done} or
 * {@code failed} with the number.
 */
final class HdfsCluster {
  private static final String KEY = "zone";
  private static final long LONG_AGO_MS = 1_700_000_000_000L;

  private final Configuration conf;
  private final MiniDFSCluster cluster;
  private MiniDFSCluster.DataNodeProperties stopped;
  private boolean keyMade;

  private HdfsCluster(String[] args) throws IOException {
    conf = new HdfsConfiguration();
    conf.set(MiniDFSCluster.HDFS_MINIDFS_BASEDIR, new File(args[0]).getAbsolutePath());
    // Only its superuser may read everything; tests ask as another user.
    conf.setBoolean("dfs.permissions.enabled", true);
    conf.setInt("dfs.replication", 1);
    // Files may ask for small blocks, so that a few MiB are several.
    conf.setLong("dfs.namenode.fs-limits.min-block-size", 1 << 20);
    conf.setInt("dfs.ls.limit", 100);
    // A standby reads what the active NameNode writes within a second.
    conf.setInt("dfs.ha.tail-edits.period", 1);
    File keys = new File(args[0], "keys.jks").getAbsoluteFile();
    conf.set("hadoop.security.key.provider.path", "jceks://file" + keys);
    MiniDFSCluster.Builder builder = new MiniDFSCluster.Builder(conf).numDataNodes(1).format(true);
    int port = Integer.parseInt(args[1]);
    if (args.length > 2) {
      builder.nnTopology(
          new MiniDFSNNTopology()
              .addNameservice(
                  new MiniDFSNNTopology.NSConf(args[2])
                      .addNN(new MiniDFSNNTopology.NNConf("a").setIpcPort(port))
                      .addNN(
                          new MiniDFSNNTopology.NNConf("b").setIpcPort(Integer.parseInt(args[3])))));
    } else {
      builder.nameNodePort(port);
    }
    cluster = builder.build();
    if (args.length > 2) {
      cluster.transitionToActive(0);
    }
    cluster.waitActive();
  }

  public static void main(String[] args) throws Exception {
    HdfsCluster running = new HdfsCluster(args);
    say("serving");
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      String[] words = line.split(" ");
      String told = "done ";
      try {
        running.perform(words);
      } catch (Exception e) {
        e.printStackTrace();
        told = "failed ";
      }
      say(told + words[0]);
    }
    // Nothing in it is worth a clean end.
    Runtime.getRuntime().halt(0);
  }

  private void perform(String[] words) throws Exception {
    switch (words[1]) {
      case "stop-namenode":
        cluster.shutdownNameNode(0);
        break;
      case "start-namenode":
        cluster.restartNameNode(0, true);
        break;
      case "stop-datanode":
        stopped = cluster.stopDataNode(0);
        break;
      case "start-datanode":
        cluster.restartDataNode(stopped, true);
        cluster.waitActive();
        break;
      case "safemode":
        admin("-safemode", words[2]);
        break;
      case "failover":
        cluster.transitionToStandby(Integer.parseInt(words[2]));
        cluster.transitionToActive(Integer.parseInt(words[3]));
        break;
      case "encrypt":
        encrypt(new Path(words[2]));
        break;
      default:
        throw new IllegalArgumentException("unknown command " + words[1]);
    }
  }

  /** What {@code hdfs dfsadmin} does. */
  private void admin(String... words) throws Exception {
    if (ToolRunner.run(new DFSAdmin(conf), words) != 0) {
      throw new IOException("dfsadmin failed");
    }
  }

  /** Makes an encryption zone with a file {@code f} in it, which holds its name. */
  private void encrypt(Path zone) throws Exception {
    cluster.getFileSystem().mkdirs(zone);
    if (!keyMade) {
      DFSTestUtil.createKey(KEY, cluster, conf);
      keyMade = true;
    }
    new HdfsAdmin(cluster.getURI(0), conf)
        .createEncryptionZone(zone, KEY, EnumSet.of(CreateEncryptionZoneFlag.NO_TRASH));
    Path file = new Path(zone, "f");
    try (FSDataOutputStream out = cluster.getFileSystem().create(file)) {
      out.writeBytes("f");
    }
    cluster.getFileSystem().setTimes(file, LONG_AGO_MS, LONG_AGO_MS - 1);
  }

  private static void say(String line) {
    System.out.print(line + "\n");
    System.out.flush();
  }
}
