package io.millpond.contract;

import java.net.URI;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSMainOperationsBaseTest;
import org.apache.hadoop.fs.FileContext;
import org.apache.hadoop.fs.FileContextCreateMkdirBaseTest;
import org.apache.hadoop.fs.FileContextMainOperationsBaseTest;
import org.apache.hadoop.fs.FileContextTestHelper;
import org.apache.hadoop.fs.FileContextURIBase;
import org.apache.hadoop.fs.FileContextUtilBase;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.FileSystemContractBaseTest;
import org.apache.hadoop.fs.Path;
import org.junit.Assume;
import org.junit.Before;

/** Hadoop's older suites, of FileSystem and of FileContext; they write below the root. */
public final class BaseSuites {
    private static final URI ROOT = URI.create("cache:///");
    private static final String DIRECTORY = "/base-suites";

    private BaseSuites() {}

    private static Configuration conf() {
        Configuration conf = new Configuration();
        conf.addResource(new Path(System.getProperty("millpond.conf")));
        return conf;
    }

    /** As a skipped test says why. */
    private static void not(String why) {
        Assume.assumeTrue(why, false);
    }

    private static void noPermissions() {
        not("permissions are the store's: cache:// has none of its own");
    }

    private static void noAppend() {
        not("append is refused");
    }

    public static final class FileSystemContract extends FileSystemContractBaseTest {
        @Before
        public void setUp() throws Exception {
            fs = FileSystem.newInstance(ROOT, conf());
            fs.setWorkingDirectory(new Path(getDefaultWorkingDirectory()));
        }

        @Override
        protected Path getTestBaseDir() {
            return new Path(DIRECTORY);
        }

        @Override
        protected String getDefaultWorkingDirectory() {
            return DIRECTORY + "/work"; // the suite wants one that has a parent
        }

        @Override
        protected boolean rootDirTestEnabled() {
            return true;
        }

        @Override
        public void testMkdirsWithUmask() {
            noPermissions();
        }
    }

    public static final class FsMain extends FSMainOperationsBaseTest {
        public FsMain() {
            super(DIRECTORY + "/fs");
        }

        @Override
        protected FileSystem createFileSystem() throws Exception {
            return FileSystem.newInstance(ROOT, conf());
        }

        @Override
        protected Path getDefaultWorkingDirectory() {
            return fSys.makeQualified(new Path("/"));
        }

        @Override
        public void testListStatusThrowsExceptionForUnreadableDir() {
            noPermissions();
        }

        @Override
        public void testGlobStatusThrowsExceptionForUnreadableDir() {
            noPermissions();
        }
    }

    public static final class FcMain extends FileContextMainOperationsBaseTest {
        @Override
        public void setUp() throws Exception {
            fc = FileContext.getFileContext(ROOT, conf());
            super.setUp();
        }

        @Override
        protected FileContextTestHelper createFileContextHelper() {
            return new FileContextTestHelper(DIRECTORY + "/fc");
        }

        @Override
        protected Path getDefaultWorkingDirectory() {
            return fc.makeQualified(new Path("/"));
        }

        @Override
        protected boolean listCorruptedBlocksSupported() {
            return false;
        }

        @Override
        public void testSetVerifyChecksum() {
            not("it asks for a file that is still open, and none is there before it is closed");
        }

        @Override
        public void testCreateFlagAppendExistingFile() {
            noAppend();
        }

        @Override
        public void testCreateFlagCreateAppendExistingFile() {
            noAppend();
        }

        @Override
        public void testCreateFlagCreateAppendNonExistingFile() {
            noAppend();
        }

        @Override
        public void testBuilderCreateAppendExistingFile() {
            noAppend();
        }

        @Override
        public void testBuilderCreateAppendNonExistingFile() {
            noAppend();
        }
    }

    public static final class FcCreateMkdir extends FileContextCreateMkdirBaseTest {
        @Override
        public void setUp() throws Exception {
            fc = FileContext.getFileContext(ROOT, conf());
            super.setUp();
        }

        @Override
        protected FileContextTestHelper createFileContextHelper() {
            return new FileContextTestHelper(DIRECTORY + "/mkdir");
        }
    }

    public static final class FcUri extends FileContextURIBase {
        @Override
        public void setUp() throws Exception {
            fc1 = FileContext.getFileContext(ROOT, conf());
            fc2 = fc1;
            super.setUp();
        }

        @Override
        public void testFileStatus() {
            not("a store tells no capacity, nor what of it is used");
        }
    }

    public static final class FcUtil extends FileContextUtilBase {
        @Override
        public void setUp() throws Exception {
            fc = FileContext.getFileContext(ROOT, conf());
            super.setUp();
        }
    }
}
