package io.millpond.fs;

/** A directory with something in it was to be deleted, and not recursively. */
public final class DirectoryNotEmptyException extends MillpondException {
    private static final long serialVersionUID = 1;

    public DirectoryNotEmptyException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.DIRECTORY_NOT_EMPTY;
    }
}
