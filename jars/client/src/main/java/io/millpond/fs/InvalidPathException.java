package io.millpond.fs;

/** A URI or path that names nothing and never can: .., NUL, wrong scheme, a host. */
public final class InvalidPathException extends MillpondException {
    private static final long serialVersionUID = 1;

    public InvalidPathException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.INVALID_PATH;
    }
}
