package io.millpond.fs;

/** What the path has can't be known: the sidecar that has data pending there is not reached. */
public final class PendingUnreachableException extends MillpondException {
    private static final long serialVersionUID = 1;

    private final boolean inStaging;

    public PendingUnreachableException(String problem, String cause, String remedy) {
        this(problem, cause, remedy, false);
    }

    PendingUnreachableException(
            String problem, String cause, String remedy, boolean inStaging) {
        super(problem, cause, remedy);
        this.inStaging = inStaging;
    }

    /** Whether the path lies in the staging area of a job. */
    boolean inStaging() {
        return inStaging;
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.PENDING_UNREACHABLE;
    }
}
