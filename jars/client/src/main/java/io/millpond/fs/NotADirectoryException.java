package io.millpond.fs;

import org.apache.hadoop.fs.ParentNotDirectoryException;

/** A directory operation on a file. */
public final class NotADirectoryException extends ParentNotDirectoryException implements Fault {
    private static final long serialVersionUID = 1;

    public NotADirectoryException(String problem, String cause, String remedy) {
        super(Fault.line(problem, cause, remedy));
    }

    @Override
    public ErrorCode error() {
        return ErrorCode.NOT_A_DIRECTORY;
    }
}
