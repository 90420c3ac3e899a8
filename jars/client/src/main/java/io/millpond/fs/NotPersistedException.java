package io.millpond.fs;

/** What is pending there did not get into the store within the time the call may wait. */
public final class NotPersistedException extends MillpondException {
    private static final long serialVersionUID = 1;

    public NotPersistedException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.NOT_PERSISTED;
    }
}
