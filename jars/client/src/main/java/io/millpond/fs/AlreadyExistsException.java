package io.millpond.fs;

import org.apache.hadoop.fs.FileAlreadyExistsException;

/** What was to be made is there. */
public final class AlreadyExistsException extends FileAlreadyExistsException implements Fault {
    private static final long serialVersionUID = 1;

    public AlreadyExistsException(String problem, String cause, String remedy) {
        super(Fault.line(problem, cause, remedy));
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.ALREADY_EXISTS;
    }
}
