package io.millpond.fs;

/** A directory operation on a file. */
public final class NotADirectoryException extends MillpondException {
    private static final long serialVersionUID = 1;

    public NotADirectoryException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.NOT_A_DIRECTORY;
    }
}
