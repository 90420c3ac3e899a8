package io.millpond.fs;

/** What the path has can't be known: the sidecar that has data pending there is not reached. */
public final class PendingUnreachableException extends MillpondException {
    private static final long serialVersionUID = 1;

    public PendingUnreachableException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.PENDING_UNREACHABLE;
    }
}
