package io.millpond.fs;

/** Who asks is none of the mount's writers. */
public final class NotAWriterException extends MillpondException {
    private static final long serialVersionUID = 1;

    public NotAWriterException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.NOT_A_WRITER;
    }
}
