package io.millpond.fs;

/** A write to a mount that is read-only. */
public final class MountReadOnlyException extends MillpondException {
    private static final long serialVersionUID = 1;

    public MountReadOnlyException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.MOUNT_READ_ONLY;
    }
}
