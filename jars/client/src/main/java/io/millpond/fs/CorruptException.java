package io.millpond.fs;

/** A file on disk fails its checksum or contradicts itself. Treated as absent. */
public final class CorruptException extends MillpondException {
    private static final long serialVersionUID = 1;

    public CorruptException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.CORRUPT;
    }
}
