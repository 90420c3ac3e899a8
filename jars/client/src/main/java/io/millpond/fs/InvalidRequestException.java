package io.millpond.fs;

/** A request whose fields make no sense, or a frame that does not parse. */
public final class InvalidRequestException extends MillpondException {
    private static final long serialVersionUID = 1;

    public InvalidRequestException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.INVALID_REQUEST;
    }
}
