package io.millpond.fs;

import java.io.IOException;
import java.util.EnumSet;
import java.util.Set;
import org.apache.hadoop.fs.CreateFlag;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FSDataOutputStreamBuilder;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.PathIOException;

/** What {@code createFile} of {@link WritableFileSystem} takes; loaded only when it is called. */
final class Hadoop3Create extends FSDataOutputStreamBuilder<FSDataOutputStream, Hadoop3Create> {
    private final WritableFileSystem system;

    private Hadoop3Create(WritableFileSystem system, Path path) {
        super(system, path);
        this.system = system;
    }

    /** Through a static method: a {@code new} in the caller would fail its verification on 2.7. */
    static FSDataOutputStreamBuilder<?, ?> builder(WritableFileSystem system, Path path) {
        return new Hadoop3Create(system, path).create().overwrite(true);
    }

    @Override
    public Hadoop3Create getThisBuilder() {
        return this;
    }

    /**
     * As Hadoop's own, with the option {@link ClientConf#WRITE_TYPE}.
     *
     * @throws IllegalArgumentException for a mandatory key nobody knows here
     */
    @Override
    public FSDataOutputStream build() throws IOException {
        rejectUnknownMandatoryKeys(Set.of(ClientConf.WRITE_TYPE), "for " + getPath());
        EnumSet<CreateFlag> flags = getFlags();
        if (flags.contains(CreateFlag.APPEND)) {
            return system.append(getPath(), getBufferSize(), getProgress());
        }
        if (!flags.contains(CreateFlag.CREATE) && !flags.contains(CreateFlag.OVERWRITE)) {
            throw new PathIOException(
                    getPath().toString(), "Must specify either create, overwrite or append");
        }
        String writeType = getOptions().getTrimmed(ClientConf.WRITE_TYPE, system.writeType());
        return system.create(
                getPath(),
                new Writes.Options(
                        flags.contains(CreateFlag.OVERWRITE),
                        !isRecursive(),
                        getBufferSize(),
                        getReplication(),
                        getBlockSize(),
                        getProgress(),
                        ClientConf.writeType(writeType)));
    }
}
