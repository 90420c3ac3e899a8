package io.millpond.fs;

/** The file has another version than the one that was opened or planned. */
public final class FileChangedException extends MillpondException {
    private static final long serialVersionUID = 1;

    public FileChangedException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.FILE_CHANGED;
    }
}
