package io.millpond.fs;

/** The batch is not open: it was committed, aborted, or dropped as nobody asked for it. */
public final class BatchEndedException extends MillpondException {
    private static final long serialVersionUID = 1;

    public BatchEndedException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.BATCH_ENDED;
    }
}
