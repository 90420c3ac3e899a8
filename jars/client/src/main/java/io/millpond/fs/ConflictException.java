package io.millpond.fs;

/** The store has something else at the path than the write was to replace. */
public final class ConflictException extends MillpondException {
    private static final long serialVersionUID = 1;

    public ConflictException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.CONFLICT;
    }
}
