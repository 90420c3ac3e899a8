package io.millpond.fs;

/** A verb Millpond does not have. */
public final class NotSupportedException extends UnsupportedOperationException implements Fault {
    private static final long serialVersionUID = 1;

    public NotSupportedException(String problem, String cause, String remedy) {
        super(Fault.line(problem, cause, remedy));
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.NOT_SUPPORTED;
    }
}
