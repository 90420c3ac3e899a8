package io.millpond.fs;

/** The port or socket is taken by another process. */
public final class AddressInUseException extends MillpondException {
    private static final long serialVersionUID = 1;

    public AddressInUseException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.ADDRESS_IN_USE;
    }
}
