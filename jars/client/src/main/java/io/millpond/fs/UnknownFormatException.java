package io.millpond.fs;

/** A file on disk has a format version this release does not know. */
public final class UnknownFormatException extends MillpondException {
    private static final long serialVersionUID = 1;

    public UnknownFormatException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.UNKNOWN_FORMAT;
    }
}
