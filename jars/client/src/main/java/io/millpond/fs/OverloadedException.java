package io.millpond.fs;

/** The sidecar has more requests in hand than it may hold. */
public final class OverloadedException extends MillpondException {
    private static final long serialVersionUID = 1;

    public OverloadedException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.OVERLOADED;
    }
}
