package io.millpond.fs;

/** The cache directory can't be used: unwritable, world-accessible, or already taken. */
public final class CacheDirUnusableException extends MillpondException {
    private static final long serialVersionUID = 1;

    public CacheDirUnusableException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.CACHE_DIR_UNUSABLE;
    }
}
