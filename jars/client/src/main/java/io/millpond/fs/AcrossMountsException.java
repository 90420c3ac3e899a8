package io.millpond.fs;

/** A rename from one mount to another, or one that would carry a mount along. */
public final class AcrossMountsException extends MillpondException {
    private static final long serialVersionUID = 1;

    public AcrossMountsException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.ACROSS_MOUNTS;
    }
}
