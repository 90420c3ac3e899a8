package io.millpond.fs;

/** Acknowledged data that the store never got is gone from the disk; nothing older is given. */
public final class DataLostException extends MillpondException {
    private static final long serialVersionUID = 1;

    public DataLostException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.DATA_LOST;
    }
}
