package io.millpond.fs;

/** The store's answer contradicts itself: wrong length, truncated, wrong range. */
public final class StoreAnswerInvalidException extends MillpondException {
    private static final long serialVersionUID = 1;

    public StoreAnswerInvalidException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.STORE_ANSWER_INVALID;
    }
}
