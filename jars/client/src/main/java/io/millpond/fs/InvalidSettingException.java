package io.millpond.fs;

/** A setting that is unknown or has a value out of range. */
public final class InvalidSettingException extends MillpondException {
    private static final long serialVersionUID = 1;

    public InvalidSettingException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.INVALID_SETTING;
    }
}
