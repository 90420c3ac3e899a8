package io.millpond.fs;

/** A file operation on a directory. */
public final class IsADirectoryException extends MillpondException {
    private static final long serialVersionUID = 1;

    public IsADirectoryException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.IS_A_DIRECTORY;
    }
}
