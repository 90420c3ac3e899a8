package io.millpond.fs.local;

/** Names one block of one file version. */
final class BlockKey {
    final FileId file;
    final int block;

    BlockKey(FileId file, int block) {
        this.file = file;
        this.block = block;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof BlockKey
                && ((BlockKey) other).block == block
                && ((BlockKey) other).file.equals(file);
    }

    @Override
    public int hashCode() {
        return file.hashCode() * 31 + block;
    }
}
