package io.millpond.fs;

/** Disk full or out of inodes, and nothing evictable: readers go to the store. */
public final class NoSpaceException extends MillpondException {
    private static final long serialVersionUID = 1;

    public NoSpaceException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.NO_SPACE;
    }
}
