package io.millpond.fs;

/** The store did not answer, or answered 5xx, until the retry budget was spent. */
public final class StoreUnavailableException extends MillpondException {
    private static final long serialVersionUID = 1;

    public StoreUnavailableException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.STORE_UNAVAILABLE;
    }
}
