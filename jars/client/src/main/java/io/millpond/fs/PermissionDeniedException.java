package io.millpond.fs;

import java.nio.file.AccessDeniedException;

/** The store refused the credentials. */
public final class PermissionDeniedException extends AccessDeniedException implements Fault {
    private static final long serialVersionUID = 1;

    public PermissionDeniedException(String problem, String cause, String remedy) {
        super(Fault.line(problem, cause, remedy));
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.PERMISSION_DENIED;
    }
}
