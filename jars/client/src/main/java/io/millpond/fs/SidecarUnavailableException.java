package io.millpond.fs;

/** No sidecar answers on this node. */
public final class SidecarUnavailableException extends MillpondException {
    private static final long serialVersionUID = 1;

    public SidecarUnavailableException(String problem, String cause, String remedy) {
        super(problem, cause, remedy);
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.SIDECAR_UNAVAILABLE;
    }
}
