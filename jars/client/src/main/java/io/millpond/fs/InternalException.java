package io.millpond.fs;

/** A defect in Millpond. The job goes on by reading the store. */
public final class InternalException extends MillpondException {
    private static final long serialVersionUID = 1;

    public InternalException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.INTERNAL;
    }
}
