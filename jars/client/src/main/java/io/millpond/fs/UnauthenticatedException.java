package io.millpond.fs;

/** Wrong or missing token. */
public final class UnauthenticatedException extends MillpondException {
    private static final long serialVersionUID = 1;

    public UnauthenticatedException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.UNAUTHENTICATED;
    }
}
