package io.millpond.fs;

/** What was written can't be committed: its session with the sidecar has ended. */
public final class SessionLostException extends MillpondException {
    private static final long serialVersionUID = 1;

    public SessionLostException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.SESSION_LOST;
    }
}
