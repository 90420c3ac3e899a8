package io.millpond.fs;

/** Client and sidecar share no protocol version. */
public final class ProtocolMismatchException extends MillpondException {
    private static final long serialVersionUID = 1;

    public ProtocolMismatchException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.PROTOCOL_MISMATCH;
    }
}
