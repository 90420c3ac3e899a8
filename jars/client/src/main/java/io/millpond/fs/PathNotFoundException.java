package io.millpond.fs;

import java.io.FileNotFoundException;

/** The store has no such file or directory. */
public final class PathNotFoundException extends FileNotFoundException implements Fault {
    private static final long serialVersionUID = 1;

    public PathNotFoundException(String problem, String cause, String remedy) {
        super(Fault.line(problem, cause, remedy));
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.PATH_NOT_FOUND;
    }
}
