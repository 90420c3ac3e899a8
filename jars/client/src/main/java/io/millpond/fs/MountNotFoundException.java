package io.millpond.fs;

/** No mount covers the path. */
public final class MountNotFoundException extends MillpondException {
    private static final long serialVersionUID = 1;

    public MountNotFoundException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.MOUNT_NOT_FOUND;
    }
}
