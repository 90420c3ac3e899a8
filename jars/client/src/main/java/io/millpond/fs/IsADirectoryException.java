package io.millpond.fs;

import java.io.FileNotFoundException;

/** A file operation on a directory. Hadoop's contract: there is no such file. */
public final class IsADirectoryException extends FileNotFoundException implements Fault {
    private static final long serialVersionUID = 1;

    public IsADirectoryException(String problem, String cause, String remedy) {
        super(Fault.line(problem, cause, remedy));
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.IS_A_DIRECTORY;
    }
}
