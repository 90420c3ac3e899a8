package io.millpond.fs;

/** A frame above the cap; refused before any memory is taken for it. */
public final class FrameTooLargeException extends MillpondException {
    private static final long serialVersionUID = 1;

    public FrameTooLargeException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.FRAME_TOO_LARGE;
    }
}
