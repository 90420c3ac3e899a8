package io.millpond.fs;

/** The mount table already says something else about this path. */
public final class MountConflictException extends MillpondException {
    private static final long serialVersionUID = 1;

    public MountConflictException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.MOUNT_CONFLICT;
    }
}
