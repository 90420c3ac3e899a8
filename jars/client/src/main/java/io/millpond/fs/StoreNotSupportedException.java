package io.millpond.fs;

/** No driver for this scheme, or one that is not installed; names the remedy. */
public final class StoreNotSupportedException extends MillpondException {
    private static final long serialVersionUID = 1;

    public StoreNotSupportedException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.STORE_NOT_SUPPORTED;
    }
}
